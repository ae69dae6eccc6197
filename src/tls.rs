//! Encryption: one provider of it for all that connects.

/// Makes sure that there is a provider of cryptography, which whoever builds a client needs.
pub fn provide() {
    // It fails where there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

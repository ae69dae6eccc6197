//! The addresses of the simulated world. All are private, shared or benchmark addresses, all
//! autonomous systems are private or kept for documentation, so no real network is named.

mod layout;

use std::io::{self, Write};

use super::city::{CITIES, Continent};
use super::dice::mix;

/// Home providers in each city.
pub(super) const PROVIDERS: usize = 3;
/// Prefixes of one home provider in one city.
const PREFIXES: usize = 4;
const POOLS: usize = 3;
const CARRIERS: usize = 2;

/// A range of addresses and what geolocation data says of it.
struct Block {
    first: u32,
    length: u8,
    country: &'static str,
    city: &'static str,
    /// As stated; for mobile networks often far from where the people are.
    point: (f64, f64),
    accuracy_km: u32,
    asn: u32,
    organisation: String,
    kind: &'static str,
}

/// A range of addresses in a city.
#[derive(Clone, Copy)]
pub(super) struct Exit {
    /// Position in [`CITIES`].
    pub(super) city: usize,
    first: u32,
    size: u32,
}

impl Exit {
    /// The address that `number` falls on; never the first or the last of the range.
    pub(super) fn address(self, number: u64) -> u32 {
        self.first + 1 + (number % u64::from(self.size - 2)) as u32
    }

    pub(super) fn holds(self, address: u32) -> bool {
        address
            .checked_sub(self.first)
            .is_some_and(|offset| offset < self.size)
    }
}

/// All networks, by what they are used for. The vectors by city are as long as [`CITIES`].
pub(super) struct World {
    blocks: Vec<Block>,
    homes: Vec<[[Exit; PREFIXES]; PROVIDERS]>,
    carriers: Vec<[[Exit; POOLS]; CARRIERS]>,
    hotels: Vec<Exit>,
    relays: Vec<Exit>,
    offices: Vec<Option<Exit>>,
    /// Exits of the company's own VPN: Europe and Africa, America, the rest.
    gateways: [Exit; 3],
    /// The same at the provider to which the company moves.
    new_gateways: [Exit; 3],
    secure_access: Vec<Exit>,
    pub(super) vpns: Vec<Exit>,
    pub(super) hosting: Vec<Exit>,
    pub(super) tor: Exit,
    planes: [Exit; 2],
}

impl World {
    /// A home address: the `lease` is the number of times that it changed. Every second change
    /// leaves the prefix.
    pub(super) fn home(&self, city: usize, provider: usize, person: u64, lease: u64) -> u32 {
        let prefix = (person >> 8).wrapping_add(lease / 2) as usize % PREFIXES;
        let number = mix(person ^ lease.wrapping_mul(0x1_0001));
        self.homes[city][provider % PROVIDERS][prefix].address(number)
    }

    /// An address of a mobile carrier in the city.
    pub(super) fn carrier(&self, city: usize, person: u64, number: u64) -> u32 {
        let carrier = person as usize % CARRIERS;
        // People keep to one pool most of the time.
        let pool = if number.is_multiple_of(5) {
            number >> 8
        } else {
            person >> 8
        };
        self.carriers[city][carrier][pool as usize % POOLS].address(number >> 16)
    }

    pub(super) fn hotel(&self, city: usize, number: u64) -> u32 {
        self.hotels[city].address(number)
    }

    pub(super) fn relay(&self, city: usize, number: u64) -> u32 {
        self.relays[city].address(number)
    }

    pub(super) fn office(&self, city: usize, number: u64) -> Option<u32> {
        self.offices[city].map(|office| office.address(number % 4))
    }

    /// Whether the address is the office's in the city.
    pub(super) fn is_office(&self, city: usize, address: u32) -> bool {
        self.offices[city].is_some_and(|office| office.holds(address))
    }

    /// The company's VPN exit for people of the city, before or after it moved.
    pub(super) fn gateway(&self, city: usize, number: u64, has_moved: bool) -> u32 {
        let gateways = if has_moved {
            &self.new_gateways
        } else {
            &self.gateways
        };
        let gateway = match CITIES[city].continent {
            Continent::Europe | Continent::Africa => 0,
            Continent::America => 1,
            Continent::Asia | Continent::Oceania => 2,
        };
        gateways[gateway].address(number)
    }

    /// The exit of the secure access service nearest to the city, or the `hops` next nearest.
    pub(super) fn secure_access(&self, city: usize, hops: usize, number: u64) -> u32 {
        let far = |exit: &Exit| CITIES[city].distance(&CITIES[exit.city]) as u64;
        let mut exits = self.secure_access.clone();
        exits.sort_by_key(far);
        exits[hops.min(exits.len() - 1)].address(number)
    }

    /// An address of the networks on board; data places it at the ground station.
    pub(super) fn plane(&self, city: usize, number: u64) -> u32 {
        let provider = usize::from(CITIES[city].continent == Continent::Europe);
        self.planes[provider].address(number)
    }

    /// Whether the address belongs to a mobile carrier.
    pub(super) fn is_mobile(address: u32) -> bool {
        address >> 22 == 0x6440_0000 >> 22
    }

    /// City and country of the address, as free text; empty for an unknown one.
    pub(super) fn location(&self, address: u32) -> String {
        let holds = |block: &&Block| (block.first ^ address) >> (32 - block.length) == 0;
        match self.blocks.iter().find(holds) {
            Some(block) if block.city.is_empty() => block.country.to_owned(),
            Some(block) => format!("{}, {}", block.city, block.country),
            None => String::new(),
        }
    }

    /// Writes the rows as CSV with a header; rows do not overlap.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "network,country,city,latitude,longitude,accuracy_km,asn,as_org,kind"
        )?;
        for block in &self.blocks {
            let (latitude, longitude) = block.point;
            writeln!(
                out,
                "{}/{},{},{},{latitude:.4},{longitude:.4},{},{},{},{}",
                std::net::Ipv4Addr::from_bits(block.first),
                block.length,
                block.country,
                block.city,
                block.accuracy_km,
                block.asn,
                block.organisation,
                block.kind
            )?;
        }
        Ok(())
    }
}

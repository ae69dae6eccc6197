//! Rule files beside the rules that come with the program.

use std::fs;
use std::io;
use std::path::Path;

use gridwatch::rule::embedded;

use super::variants;

/// Limits lie so far out that hardly anything is found: hours of the organisation go by in a second, and
/// at its usual limits everybody would be found at once.
const LEAST: usize = 100_000;

/// The rule that finds markers.
pub const MARKER: &str = "bench_marker";

/// Writes the rules that are missing to so many in all, windows of these lengths taking turns; gives how
/// many it wrote.
pub fn variants(folder: &Path, count: usize, windows: &[String]) -> io::Result<usize> {
    let shipped = embedded::RULES.len();
    for number in shipped..count {
        let name = format!("made_{number}");
        let window = &windows[number / 4 % windows.len()];
        write(
            folder,
            number,
            &name,
            &variants::detect(number, window, LEAST + number),
            "1h",
        )?;
    }
    Ok(count.saturating_sub(shipped))
}

/// Writes the rule that finds each marker by itself.
pub fn marker(folder: &Path) -> io::Result<()> {
    let detect = "  kind: match\n  where: action = 'file_downloaded' AND entity_name LIKE 'marker-%'\n  key: \
                  entity_id\n";
    write(folder, 999_999, MARKER, detect, "0s")
}

fn write(folder: &Path, number: usize, name: &str, detect: &str, suppress: &str) -> io::Result<()> {
    let text = format!(
        "title: Rule {number}\nid: 00000000-0000-4000-8000-{number:012}\nname: {name}\nstatus: \
         test\nlevel: low\ndescription: >\n  A rule of the bench.\nauthor: bench\ndate: 2026-03-02\ntags: \
         []\nlogsource: {{product: slack, service: audit}}\ndetect:\n{detect}suppress: {suppress}\n"
    );
    fs::create_dir_all(folder)?;
    fs::write(folder.join(format!("{name}.yml")), text)
}

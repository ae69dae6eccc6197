//! From where attackers come, and with what.

use super::super::Organisation;
use super::super::agent::Family;
use super::super::city::{CITIES, City};
use super::super::dice::Dice;
use super::super::network::{Exit, PROVIDERS, World};
use super::super::person::Person;
use super::Kind;

/// An address from which the attacker of somebody in the city `here` comes; `None` if there is no
/// city that fits.
pub(super) fn address(org: &Organisation, kind: Kind, here: usize, dice: &mut Dice) -> Option<u32> {
    let world = &org.world;
    let is_fit = |city: usize| fits(kind, &CITIES[here], &CITIES[city]);
    let is_by_cookie = matches!(kind, Kind::StolenSession | Kind::SlackAnomaly);
    if kind == Kind::TorLogin || is_by_cookie && is_fit(world.tor.city) && dice.chance(0.15) {
        return is_fit(world.tor.city).then(|| world.tor.address(dice.number()));
    }
    let is_rented = is_by_cookie || matches!(kind, Kind::ScriptClient | Kind::PhishingCrowd);
    // Half of the stolen passwords are used through somebody's home.
    if !is_rented && dice.chance(0.5) {
        let cities: Vec<usize> = (0..CITIES.len()).filter(|city| is_fit(*city)).collect();
        let city = *cities.get(dice.index(cities.len()))?;
        return Some(world.home(city, dice.index(PROVIDERS), dice.number(), 0));
    }
    let tunnels: &[Exit] = if is_rented { &[] } else { &world.vpns };
    let exits: Vec<&Exit> = rented(world, kind)
        .chain(tunnels)
        .filter(|exit| is_fit(exit.city))
        .collect();
    let exit = exits.get(dice.index(exits.len()))?;
    Some(exit.address(dice.number()))
}

/// Whether an attacker there fits the kind.
fn fits(kind: Kind, here: &City, there: &City) -> bool {
    let far = here.distance(there);
    match kind {
        Kind::TravelCountry => {
            there.continent == here.continent && there.country != here.country && far > 600.0
        }
        Kind::TravelFarCity => there.country == here.country && far > 560.0,
        Kind::TravelContinent | Kind::BulkDownload | Kind::DownloadAfterTravel => {
            there.continent != here.continent
        }
        Kind::ScriptClient => true,
        _ => there.country != here.country && far > 1_000.0,
    }
}

/// Rented machines. One of the four providers is the forgers' alone, so that it is new to all when
/// many sign in from there; apps use it too, but they show no session.
fn rented(world: &World, kind: Kind) -> impl Iterator<Item = &Exit> {
    const HOSTS: usize = 4;
    const FORGERS: usize = 1;
    let by_forgers = kind == Kind::PhishingCrowd;
    let exits = world.hosting.iter().enumerate();
    exits
        .filter(move |(number, _)| (number % HOSTS == FORGERS) == by_forgers)
        .map(|(_, exit)| exit)
}

/// The attacker's program. Half of those who sign in show the victim's own; a script is another than
/// the victim's own.
pub(super) fn family(kind: Kind, victim: &Person, dice: &mut Dice) -> Family {
    const SCRIPTS: [Family; 2] = [Family::PythonRequests, Family::PythonAiohttp];
    const TOOLS: [Family; 2] = [Family::Curl, Family::PythonRequests];
    const BROWSERS: [Family; 3] = [Family::ChromeWindows, Family::Firefox, Family::Edge];
    let own_script = victim.habits.script.map(|script| script.family);
    let mut other = |[one, two]: [Family; 2]| {
        let is_first = dice.chance(0.5);
        if is_first && own_script != Some(one) || own_script == Some(two) {
            one
        } else {
            two
        }
    };
    match kind {
        Kind::StolenSession => other(SCRIPTS),
        Kind::ScriptClient => other(TOOLS),
        Kind::PhishingCrowd => forged_family(victim),
        _ if dice.chance(0.5) => victim.desktop,
        _ => BROWSERS[dice.index(BROWSERS.len())],
    }
}

/// What a forged page shows: it passes on the browser of whoever it deceives.
pub(super) fn forged_family(victim: &Person) -> Family {
    victim.browser.unwrap_or(Family::ChromeWindows)
}

/// Whether the program is new to the person.
pub(super) fn is_new_program(victim: &Person, family: Family) -> bool {
    let script = victim.habits.script.map(|script| script.family);
    let known = [Some(victim.desktop), victim.phone, victim.browser, script];
    let mut known = known.into_iter().flatten();
    !known.any(|own| own.is_same_program(family))
}

/// Whether everybody leaves by the address: an office's, the company's tunnel's or a relay's. The
/// person lives in one city, and is in another or the same.
pub(super) fn is_shared(world: &World, (home, here): (usize, usize), address: u32) -> bool {
    /// The bits of an address that differ within a gateway and within a relay.
    const GATEWAY: u32 = 4;
    const RELAY: u32 = 8;
    let is_beside = |exit: u32, bits: u32| exit >> bits == address >> bits;
    world.is_office(here, address)
        || is_beside(world.gateway(home, 0, false), GATEWAY)
        || is_beside(world.relay(here, 0), RELAY)
}

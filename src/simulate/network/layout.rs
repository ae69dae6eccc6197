//! Where each network is, and what geolocation data says of it.

use super::super::city::{CITIES, City};
use super::super::dice::{Dice, Purpose};
use super::{Block, CARRIERS, Exit, POOLS, PREFIXES, PROVIDERS, World};

const RESIDENTIAL: &str = "residential";
const MOBILE: &str = "mobile";

impl World {
    /// Lays out all networks; the seed decides only what geolocation data says of some of them.
    pub(in crate::simulate) fn new(seed: u64) -> Self {
        let mut plan = Layout::new(seed);
        let cities = 0..CITIES.len();
        let homes = cities.clone().map(|city| plan.homes(city)).collect();
        let carriers = cities.clone().map(|city| plan.carriers(city)).collect();
        let hotels = cities.clone().map(|city| plan.hotel(city)).collect();
        let relays = cities.clone().map(|city| plan.relay(city)).collect();
        let offices = cities.map(|city| plan.office(city)).collect();
        let gateways = ["Frankfurt", "Ashburn", "Singapore"].map(|name| {
            plan.service(
                position(name),
                28,
                (64496, "Example Corporation"),
                "corporate",
            )
        });
        Self {
            homes,
            carriers,
            hotels,
            relays,
            offices,
            gateways,
            secure_access: plan.services(
                SECURE_ACCESS,
                26,
                (64502, "Example Secure Access"),
                "vpn",
            ),
            vpns: plan.services(VPN, 24, (64497, "Example VPN"), "vpn"),
            hosting: plan.services(HOSTING, 23, (64504, "Example Hosting"), "hosting"),
            tor: plan.service(
                position("Bucharest"),
                26,
                (64508, "Example Tor Exits"),
                "tor",
            ),
            planes: ["Denver", "London"].map(|name| plan.plane(position(name))),
            // Where no other exit is, so that it is new to everybody.
            new_gateways: ["Dublin", "Austin", "Delhi"].map(|name| {
                plan.service(
                    position(name),
                    27,
                    (64510, "Example Business Internet"),
                    "unknown",
                )
            }),
            blocks: plan.blocks,
        }
    }
}

const SECURE_ACCESS: &[&str] = &[
    "New York",
    "Chicago",
    "San Francisco",
    "São Paulo",
    "London",
    "Paris",
    "Frankfurt",
    "Amsterdam",
    "Madrid",
    "Stockholm",
    "Mumbai",
    "Singapore",
    "Tokyo",
    "Sydney",
    "Cape Town",
];
const VPN: &[&str] = &[
    "New York",
    "Denver",
    "Toronto",
    "London",
    "Amsterdam",
    "Stockholm",
    "Bucharest",
    "Frankfurt",
    "Milan",
    "Singapore",
    "Tokyo",
    "Sydney",
    "São Paulo",
    "Istanbul",
];
const HOSTING: &[&str] = &[
    "Ashburn",
    "San Francisco",
    "Chicago",
    "Toronto",
    "São Paulo",
    "London",
    "Frankfurt",
    "Amsterdam",
    "Bucharest",
    "Kraków",
    "Madrid",
    "Mumbai",
    "Delhi",
    "Singapore",
    "Tokyo",
    "Hanoi",
    "Sydney",
    "Perth",
    "Lagos",
    "Cape Town",
];

/// Hands out ranges one after the other.
struct Layout {
    seed: u64,
    blocks: Vec<Block>,
    /// Next free address of 10.0.0.0/8, 100.64.0.0/10 and 198.18.0.0/15.
    fixed: u32,
    mobile: u32,
    other: u32,
}

impl Layout {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            blocks: Vec::new(),
            fixed: 0x0a00_0000,
            mobile: 0x6440_0000,
            other: 0xc612_0000,
        }
    }

    fn homes(&mut self, city: usize) -> [[Exit; PREFIXES]; PROVIDERS] {
        const NAMES: [&str; PROVIDERS] = ["Cable", "Fibre", "DSL"];
        let mut dice = Dice::new(self.seed, Purpose::Network, city as u64, 0);
        let here = &CITIES[city];
        std::array::from_fn(|provider| {
            let organisation = format!("Example {} {}", NAMES[provider], here.country);
            let asn = 4_200_000_000 + country_number(here) * 10 + provider as u32;
            std::array::from_fn(|_| {
                // Data sometimes states the provider's seat instead of the city.
                let stated = if dice.chance(0.12) { seat(here) } else { here };
                let shift = |dice: &mut Dice| (dice.unit() - 0.5) * 0.2;
                let point = (
                    stated.latitude + shift(&mut dice),
                    stated.longitude + shift(&mut dice),
                );
                let accuracy_km = if std::ptr::eq(stated, here) {
                    dice.between(5, 30)
                } else {
                    200
                };
                let block = Block {
                    first: self.fixed,
                    length: 20,
                    country: here.country,
                    city: stated.name,
                    point,
                    accuracy_km: accuracy_km as u32,
                    asn,
                    organisation: organisation.clone(),
                    kind: RESIDENTIAL,
                };
                self.fixed += 1 << 12;
                self.add(city, block)
            })
        })
    }

    /// Pools of mobile carriers: the stated point lies a lognormal distance with median 190 km
    /// away from the people, 1 % of the pools are stated in another country.
    fn carriers(&mut self, city: usize) -> [[Exit; POOLS]; CARRIERS] {
        const NAMES: [&str; CARRIERS] = ["Mobile", "Wireless"];
        let mut dice = Dice::new(self.seed, Purpose::Network, city as u64, 1);
        let here = &CITIES[city];
        std::array::from_fn(|carrier| {
            std::array::from_fn(|_| {
                let error_km = (190.0 * dice.lognormal(0.8)).min(1500.0);
                let is_foreign = dice.chance(0.01);
                let stated = if is_foreign { neighbour(here) } else { here };
                let block = Block {
                    first: self.mobile,
                    length: 20,
                    country: stated.country,
                    city: "",
                    point: displaced(stated.point(), error_km, dice.unit()),
                    accuracy_km: (error_km * (0.5 + dice.unit())).clamp(50.0, 1000.0) as u32,
                    asn: 4_200_001_000 + country_number(here) * 10 + carrier as u32,
                    organisation: format!("Example {} {}", NAMES[carrier], here.country),
                    kind: MOBILE,
                };
                self.mobile += 1 << 12;
                self.add(city, block)
            })
        })
    }

    fn hotel(&mut self, city: usize) -> Exit {
        let organisation = format!("Example Hotel Internet {}", CITIES[city].country);
        let asn = 65_536 + city as u32 % 8;
        let block = Block {
            first: self.fixed,
            ..self.block(city, 22, asn, organisation, RESIDENTIAL)
        };
        self.fixed += 1 << 10;
        self.add(city, block)
    }

    fn relay(&mut self, city: usize) -> Exit {
        self.service(city, 24, (64501, "Example Relay"), "relay")
    }

    fn office(&mut self, city: usize) -> Option<Exit> {
        let company = (64496, "Example Corporation");
        CITIES[city]
            .has_office
            .then(|| self.service(city, 28, company, "corporate"))
    }

    fn plane(&mut self, city: usize) -> Exit {
        let exit = self.service(city, 24, (64509, "Example In-Flight Internet"), "unknown");
        if let Some(block) = self.blocks.last_mut() {
            block.city = "";
            block.accuracy_km = 1000;
        }
        exit
    }

    /// One range in each city, under a few autonomous systems in turn.
    fn services(
        &mut self,
        cities: &[&str],
        length: u8,
        (asn, organisation): (u32, &str),
        kind: &'static str,
    ) -> Vec<Exit> {
        let several = matches!(kind, "vpn" | "hosting") && asn != 64502;
        let company = |index: usize| if several { index as u32 % 4 } else { 0 };
        let place = |(index, name): (usize, &&str)| {
            let number = company(index);
            let organisation = format!("{organisation} {}", number + 1);
            self.service(position(name), length, (asn + number, &organisation), kind)
        };
        cities.iter().enumerate().map(place).collect()
    }

    fn service(
        &mut self,
        city: usize,
        length: u8,
        (asn, organisation): (u32, &str),
        kind: &'static str,
    ) -> Exit {
        let block = self.block(city, length, asn, organisation.to_owned(), kind);
        self.other += 1 << (32 - length);
        self.add(city, block)
    }

    /// A range of 198.18.0.0/15 that data places well. Its start must be a multiple of its size.
    fn block(
        &mut self,
        city: usize,
        length: u8,
        asn: u32,
        organisation: String,
        kind: &'static str,
    ) -> Block {
        let size: u32 = 1 << (32 - length);
        self.other = self.other.next_multiple_of(size);
        let here = &CITIES[city];
        Block {
            first: self.other,
            length,
            country: here.country,
            city: here.name,
            point: here.point(),
            accuracy_km: 10,
            asn,
            organisation,
            kind,
        }
    }

    fn add(&mut self, city: usize, block: Block) -> Exit {
        let (first, size) = (block.first, 1 << (32 - block.length));
        self.blocks.push(block);
        Exit { city, first, size }
    }
}

/// The point `distance_km` away; `turn` in [0, 1) is the direction.
fn displaced((latitude, longitude): (f64, f64), distance_km: f64, turn: f64) -> (f64, f64) {
    const KM_PER_DEGREE: f64 = 111.2;
    let (east, north) = (turn * std::f64::consts::TAU).sin_cos();
    let moved = (latitude + north * distance_km / KM_PER_DEGREE).clamp(-80.0, 80.0);
    let degrees = east * distance_km / (KM_PER_DEGREE * latitude.to_radians().cos());
    (
        moved,
        (longitude + degrees + 540.0).rem_euclid(360.0) - 180.0,
    )
}

/// Position in [`CITIES`]; 0 for a name that is not there.
fn position(name: &str) -> usize {
    let found = CITIES.iter().position(|city| city.name == name);
    found.unwrap_or_default()
}

fn country_number(city: &City) -> u32 {
    let first = CITIES
        .iter()
        .position(|other| other.country == city.country);
    first.unwrap_or_default() as u32
}

/// The first city of the country.
fn seat(city: &City) -> &'static City {
    &CITIES[country_number(city) as usize]
}

/// The nearest city of another country.
fn neighbour(city: &City) -> &'static City {
    let foreign = CITIES.iter().filter(|other| other.country != city.country);
    let nearest = foreign.min_by_key(|other| other.distance(city) as u64);
    nearest.unwrap_or(&CITIES[0])
}

//! Names of people, channels and files, with the letters and quotes that real ones have.

use super::Organisation;
use super::dice::{Purpose, hash};

/// A person's name as displayed, and in ASCII for the address.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) shown: &'static str,
    pub(super) ascii: &'static str,
}

pub(super) struct Name {
    pub(super) first: Part,
    pub(super) last: Part,
    /// Shown in quotes between the two.
    pub(super) nickname: Option<&'static str>,
}

pub(super) struct FileName {
    pub(super) stem: &'static str,
    /// Follows the stem.
    pub(super) number: u64,
    pub(super) extension: &'static str,
    /// Slack's word for the type.
    pub(super) filetype: &'static str,
}

impl Organisation {
    pub(super) fn name(&self, person: u32) -> Name {
        let number = hash(self.seed, Purpose::Name, person.into(), 0);
        Name {
            first: pick(FIRST, number),
            last: pick(LAST, number >> 16),
            nickname: (number >> 32)
                .is_multiple_of(150)
                .then(|| pick(NICK, number >> 40)),
        }
    }
}

/// Objects whose number has this remainder by 16 are videos.
const VIDEO: u64 = 15;

/// The file nearby that is a video.
pub(super) fn video(object: u64) -> u64 {
    object | VIDEO
}

/// The name of the file with that number.
pub(super) fn file(object: u64) -> FileName {
    let (extension, filetype) = TYPES[(object % 16) as usize];
    let spread = object >> 4;
    let stem = if (spread % 64) < 3 {
        pick(ODD_STEMS, spread >> 8)
    } else {
        pick(STEMS, spread >> 8)
    };
    FileName {
        stem,
        number: (spread >> 24) % 900 + 1,
        extension,
        filetype,
    }
}

/// The three parts of the name of the channel with that number, joined by hyphens.
pub(super) fn channel(number: u64) -> (&'static str, &'static str, u64) {
    (pick(TOPICS, number), pick(PROJECTS, number / 8), number)
}

/// The name of the workspace with that number, and its number.
pub(super) fn workspace(number: u64) -> &'static str {
    pick(WORKSPACES, number)
}

fn pick<T: Copy>(list: &[T], number: u64) -> T {
    list[(number % list.len() as u64) as usize]
}

const fn part(shown: &'static str) -> Part {
    Part {
        shown,
        ascii: shown,
    }
}

const fn spelt(shown: &'static str, ascii: &'static str) -> Part {
    Part { shown, ascii }
}

const FIRST: &[Part] = &[
    part("Amara"),
    part("Ana"),
    part("Ben"),
    part("Camille"),
    part("Carlos"),
    part("Chidi"),
    part("Daniel"),
    part("Divya"),
    part("Elena"),
    part("Emma"),
    part("Farid"),
    part("Grace"),
    part("Hana"),
    part("Hugo"),
    part("Ines"),
    part("Ivan"),
    part("James"),
    part("Karim"),
    part("Kenji"),
    part("Laura"),
    part("Liam"),
    part("Lucia"),
    part("Maria"),
    part("Mei"),
    part("Nadia"),
    part("Nina"),
    part("Noah"),
    part("Olivia"),
    part("Omar"),
    part("Paul"),
    part("Priya"),
    part("Ravi"),
    part("Rosa"),
    part("Samuel"),
    part("Sara"),
    part("Tom"),
    part("Vikram"),
    part("Wanjiru"),
    part("Yuki"),
    part("Yusuf"),
    spelt("Zoë", "Zoe"),
    spelt("José", "Jose"),
    spelt("Jürgen", "Juergen"),
    spelt("Łukasz", "Lukasz"),
    spelt("Åsa", "Asa"),
    spelt("Sinéad", "Sinead"),
    spelt("Đorđe", "Djordje"),
    spelt("美咲", "Misaki"),
];

const LAST: &[Part] = &[
    part("Adeyemi"),
    part("Ali"),
    part("Andersen"),
    part("Bauer"),
    part("Brown"),
    part("Chen"),
    part("Costa"),
    part("Dubois"),
    part("Evans"),
    part("Fischer"),
    part("Garcia"),
    part("Gupta"),
    part("Haddad"),
    part("Hansen"),
    part("Ito"),
    part("Iyer"),
    part("Jansen"),
    part("Jones"),
    part("Khan"),
    part("Kim"),
    part("Kowalski"),
    part("Kumar"),
    part("Larsen"),
    part("Lee"),
    part("Lopez"),
    part("Martin"),
    part("Mehta"),
    part("Mensah"),
    part("Meyer"),
    part("Moreau"),
    part("Nair"),
    part("Ng"),
    part("Novak"),
    part("Okafor"),
    part("Patel"),
    part("Petrov"),
    part("Popescu"),
    part("Rao"),
    part("Reid"),
    part("Rossi"),
    part("Sato"),
    part("Schmidt"),
    part("Sharma"),
    part("Silva"),
    part("Singh"),
    part("Smith"),
    part("Tan"),
    part("Taylor"),
    part("Tran"),
    part("Wang"),
    part("Weber"),
    part("Wilson"),
    part("Yamada"),
    part("Yilmaz"),
    spelt("Müller", "Mueller"),
    spelt("O'Brien", "OBrien"),
    spelt("Núñez", "Nunez"),
    spelt("Þórsdóttir", "Thorsdottir"),
    spelt("Gonçalves", "Goncalves"),
    spelt("Šimková", "Simkova"),
    spelt("Ødegård", "Odegaard"),
    spelt("D'Angelo", "DAngelo"),
    spelt("田中", "Tanaka"),
    spelt("Nguyễn", "Nguyen"),
];

const NICK: &[&str] = &["Ace", "Bee", "Kit", "Mo", "Shiv", "Tish"];

const STEMS: &[&str] = &[
    "Agenda",
    "Architecture overview",
    "Board update",
    "Brand guide",
    "Budget",
    "Campaign brief",
    "Contract draft",
    "Customer interviews",
    "Dashboard export",
    "Data model",
    "Design review",
    "Expense report",
    "Forecast",
    "Hiring plan",
    "Incident timeline",
    "Invoice",
    "Launch checklist",
    "Meeting notes",
    "Migration plan",
    "Mockups",
    "Offsite schedule",
    "Onboarding",
    "Order form",
    "Payroll summary",
    "Pipeline review",
    "Pitch deck",
    "Press release",
    "Price list",
    "Proposal",
    "Release notes",
    "Requirements",
    "Retrospective",
    "Risk register",
    "Roadmap",
    "Sales report",
    "Screenshot",
    "Security review",
    "Statement of work",
    "Survey results",
    "Team photo",
    "Test results",
    "Travel plan",
    "Vendor comparison",
    "Weekly report",
];

const ODD_STEMS: &[&str] = &[
    "Budget \"final\" v2",
    "Übersicht Kosten",
    "議事録 第四四半期",
    "Présentation clients – été",
    "C:\\Users\\exports\\report",
    "Feedback 👍🏽 round two",
    "notes\tcopied from sheet",
    "It's \"done\" / really",
    "Отчёт за квартал",
    "Line one\nline two",
    "تقرير المبيعات",
];

/// Extension and Slack's type. The last, at [`VIDEO`], is the only video.
const TYPES: [(&str, &str); 16] = [
    ("pdf", "pdf"),
    ("pdf", "pdf"),
    ("pdf", "pdf"),
    ("docx", "docx"),
    ("docx", "docx"),
    ("xlsx", "xlsx"),
    ("xlsx", "xlsx"),
    ("pptx", "pptx"),
    ("png", "png"),
    ("png", "png"),
    ("png", "png"),
    ("jpg", "jpg"),
    ("csv", "csv"),
    ("zip", "zip"),
    ("txt", "text"),
    ("mp4", "mp4"),
];

const TOPICS: &[&str] = &[
    "announce",
    "design",
    "dev",
    "finance",
    "help",
    "incident",
    "infra",
    "legal",
    "marketing",
    "ops",
    "people",
    "product",
    "proj",
    "research",
    "sales",
    "security",
    "social",
    "support",
    "team",
    "travel",
];

const PROJECTS: &[&str] = &[
    "amber", "atlas", "aurora", "beacon", "cedar", "comet", "delta", "ember", "falcon", "granite",
    "harbor", "iris", "juniper", "kestrel", "lotus", "maple", "nimbus", "onyx", "pioneer",
    "quartz", "raven", "sierra", "tundra", "willow",
];

const WORKSPACES: &[&str] = &[
    "Engineering",
    "Product",
    "Sales",
    "Marketing",
    "Finance",
    "People",
    "Support",
    "Legal",
    "Operations",
    "Research",
    "Design",
    "Security",
];

//! What the configuration file says, and the files that it names: read here, once, for every verb.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use serde_saphyr::Spanned;

use super::Failure;
use super::load;
use crate::config::Config;
use crate::config::yaml::{Problem, nearest};
use crate::detect::plan::Planner;
use crate::enrich::network::Networks;
use crate::event::action;
use crate::list::{self, List, Lists};
use crate::rule::exception::Exceptions;
use crate::rule::{Rule, State};

/// Where the configuration is.
#[derive(Debug, Default, Args)]
pub(super) struct ConfigFile {
    /// The configuration: rules, lists, exceptions, network data and the service
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

/// Network data.
#[derive(Debug, Default, Args)]
pub(super) struct NetworkFiles {
    /// Networks as CSV: network,country,city,latitude,longitude,accuracy_km,asn,as_org,kind
    #[arg(long, value_name = "CSV")]
    networks: Vec<PathBuf>,
    /// A database of places or autonomous systems in MaxMind's format
    #[arg(long, value_name = "MMDB")]
    geo: Vec<PathBuf>,
}

/// The configuration, with what stands in the files that it names.
#[derive(Default)]
pub(super) struct Setup {
    /// As it was named.
    file: String,
    /// From which paths in the configuration are meant.
    folder: PathBuf,
    config: Config,
    pub lists: Lists,
    pub exceptions: Exceptions,
    /// Actions that Slack has beside those of the catalogue.
    pub actions: BTreeSet<String>,
}

impl Setup {
    /// Reads the configuration, if there is one, with its lists and exceptions.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn read(file: &ConfigFile) -> Result<Self, Failure> {
        let Some(path) = &file.config else {
            return Ok(Self::default());
        };
        let name = path.display().to_string();
        let text = text(path)?;
        let config = Config::parse(&name, &text).map_err(|problems| refused(&problems))?;
        let mut setup = Self {
            file: name,
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            config,
            lists: Lists::default(),
            exceptions: Exceptions::default(),
            actions: BTreeSet::new(),
        };
        let mut problems = Vec::new();
        setup.lists = setup.read_lists(&mut problems)?;
        if let Some(file) = &setup.config.exceptions.file {
            let path = setup.path(file);
            match Exceptions::parse(&path.display().to_string(), &self::text(&path)?) {
                Ok(exceptions) => setup.exceptions = exceptions,
                Err(found) => problems.extend(found),
            }
        }
        if let Some(file) = &setup.config.rules.actions {
            let path = setup.path(file);
            match action::names(&self::text(&path)?) {
                Ok(names) => setup.actions = names,
                Err(message) => problems.push(Problem {
                    file: path.display().to_string(),
                    line: 1,
                    column: 1,
                    message,
                }),
            }
        }
        if problems.is_empty() {
            Ok(setup)
        } else {
            Err(refused(&problems))
        }
    }

    fn read_lists(&self, problems: &mut Vec<Problem>) -> Result<Lists, Failure> {
        let mut lists = BTreeMap::new();
        for (name, source) in &self.config.lists {
            let path = self.path(&source.file);
            let (file, text) = (path.display().to_string(), text(&path)?);
            let is_csv = path.extension().is_some_and(|extension| extension == "csv");
            let kind = source.kind.as_ref().map(|word| word.value.parse());
            let read: Result<List, Vec<Problem>> = match kind {
                Some(Err(message)) => Err(vec![self.problem(source.kind.as_ref(), message)]),
                Some(Ok(_)) if !is_csv => {
                    let message = "a list in YAML says its `type` itself".to_owned();
                    Err(vec![self.problem(source.kind.as_ref(), message)])
                }
                Some(Ok(kind)) => list::csv(&file, &text, kind),
                None if is_csv => list::csv(&file, &text, list::Type::Value),
                None => list::yaml(&file, &text),
            };
            match read {
                Ok(list) => {
                    lists.insert(name.clone(), list);
                }
                Err(found) => problems.extend(found),
            }
        }
        Ok(Lists::new(lists))
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where a path in the configuration leads, from the working folder.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// The data folder.
    pub fn store_path(&self) -> PathBuf {
        self.resolve(&self.config.store.path)
    }

    fn path(&self, path: &Spanned<PathBuf>) -> PathBuf {
        self.resolve(&path.value)
    }

    fn problem<T>(&self, at: Option<&Spanned<T>>, message: String) -> Problem {
        let place = at.map_or(serde_saphyr::Location::UNKNOWN, |at| at.referenced);
        Problem::at(&self.file, place, message)
    }

    /// The network data of the configuration, and more of it.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn networks(&self, more: &NetworkFiles) -> Result<Networks, Failure> {
        let mut networks = Networks::new();
        let enrich = &self.config.enrich;
        let tables = enrich.networks.iter().map(|path| self.path(path));
        for path in tables.chain(more.networks.iter().cloned()) {
            networks.add_csv_file(&path).map_err(Failure::usage)?;
        }
        let databases = enrich.geo.iter().chain(&enrich.asn);
        let databases = databases.map(|path| self.path(path));
        for path in databases.chain(more.geo.iter().cloned()) {
            networks.add_mmdb_file(&path).map_err(Failure::usage)?;
        }
        Ok(networks)
    }

    /// Plans rules that ask the lists, for an organisation in its time zone.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn planner(&self) -> Result<Planner, Failure> {
        let planner = Planner::with_lists(&self.lists).map_err(Failure::internal)?;
        Ok(match &self.config.organisation.time_zone {
            Some(zone) => planner.in_zone(zone.value.as_str()),
            None => planner,
        })
    }

    /// The embedded rules, those of the configuration and those of more paths; of the same name the
    /// last counts. Each has the state that the configuration gives it.
    ///
    /// # Errors
    /// All that is wrong with any of them.
    pub fn rules(&self, more: &[PathBuf]) -> Result<Vec<Rule>, Failure> {
        let mut paths: Vec<PathBuf> = self
            .config
            .rules
            .paths
            .iter()
            .map(|p| self.path(p))
            .collect();
        paths.extend_from_slice(more);
        let mut rules = load::with_embedded(&paths, &|| self.planner(), &self.exceptions)?;
        let mut problems = self
            .exceptions
            .unknown(|name| rules.iter().any(|rule| rule.name == name));
        let names: BTreeSet<String> = rules.iter().map(|rule| rule.name.clone()).collect();
        let settings = [
            (&self.config.rules.off, State::Off),
            (&self.config.rules.shadow, State::Shadow),
        ];
        for (listed, state) in settings {
            for name in listed {
                match rules.iter_mut().find(|rule| rule.name == name.value) {
                    Some(rule) => rule.state = state,
                    None => {
                        let near = nearest(&name.value, names.iter().map(String::as_str));
                        let hint = near.map(|near| format!("; did you mean `{near}`?"));
                        let hint = hint.unwrap_or_default();
                        let message = format!("there is no rule `{}`{hint}", name.value);
                        problems.push(self.problem(Some(name), message));
                    }
                }
            }
        }
        if problems.is_empty() {
            Ok(rules)
        } else {
            Err(refused(&problems))
        }
    }
}

impl Setup {
    /// The rules of these paths alone; without any all that [`Setup::rules`] gives.
    ///
    /// # Errors
    /// All that is wrong with any of them.
    pub fn of(&self, paths: &[PathBuf]) -> Result<Vec<Rule>, Failure> {
        if paths.is_empty() {
            self.rules(&[])
        } else {
            load::loaded(paths, &|| self.planner(), &self.exceptions)
        }
    }
}

fn text(path: &Path) -> Result<String, Failure> {
    let read = fs::read_to_string(path);
    let read = read.with_context(|| format!("cannot read {}", path.display()));
    read.map_err(Failure::usage)
}

/// The problems of a configuration as an error.
pub(super) fn refused(problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::usage(anyhow!("bad configuration:\n{}", lines.join("\n")))
}

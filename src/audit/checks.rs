//! The checks, as a table, and how one is judged: a pure function of configuration, traffic and day.
//!
//! A check finds, passes, or says why it could not be run. It never guesses: a value that is a placeholder, and a part that
//! was not read, are what it says is missing.

mod apis;
mod applications;
mod code;
mod connections;
mod defences;
mod organizations;
mod origins;
mod surface;
mod tenant;

use std::fmt;

pub use organizations::configured;

use super::document::Place;
pub use super::not_run::NotRun;
use super::tenant::{Field, Known, NOT_THERE, Part, Tenant, Thing};
use super::traffic::Traffic;

/// How much a finding matters, in the groups of Auth0's own readiness checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Required,
    Recommended,
    BestPractice,
}

impl Severity {
    pub const ALL: [Self; 3] = [Self::Required, Self::Recommended, Self::BestPractice];

    pub fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Recommended => "recommended",
            Self::BestPractice => "best-practice",
        }
    }

    /// What a check of this severity counts for in the score.
    pub fn weight(self) -> u32 {
        match self {
            Self::Required => 5,
            Self::Recommended => 3,
            Self::BestPractice => 1,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    Tenant,
    Tokens,
    Origins,
    Defences,
    Connections,
    Code,
    Organizations,
    Surface,
}

impl Area {
    pub const ALL: [Self; 8] = [
        Self::Tenant,
        Self::Tokens,
        Self::Origins,
        Self::Defences,
        Self::Connections,
        Self::Code,
        Self::Organizations,
        Self::Surface,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant settings",
            Self::Tokens => "tokens and grants",
            Self::Origins => "URLs and origins",
            Self::Defences => "defences",
            Self::Connections => "databases and connections",
            Self::Code => "code",
            Self::Organizations => "B2B and B2C",
            Self::Surface => "attack surface",
        }
    }
}

/// One row of the table.
pub struct Check {
    /// Stable: what baselines and dashboards name it by.
    pub id: &'static str,
    pub area: Area,
    pub severity: Severity,
    pub title: &'static str,
    pub looks_at: &'static str,
    pub why: &'static str,
    pub fix: &'static str,
    /// Auth0's page.
    pub docs: &'static str,
    pub judge: fn(&Scene<'_>, &mut Outcome) -> Judged,
}

/// What a check is given.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub tenant: &'a Tenant,
    /// What is used; `None` where no data was given.
    pub traffic: Option<&'a Traffic>,
}

impl<'a> Scene<'a> {
    /// What is used, over all of the period asked for: only then may something be called unused.
    fn covered(&self) -> Result<&'a Traffic, NotRun> {
        let traffic = self.seen()?;
        match &traffic.gap {
            None => Ok(traffic),
            Some(gap) => Err(gap.as_str().into()),
        }
    }

    /// What is used, as far as it is known: what was seen was seen.
    fn seen(&self) -> Result<&'a Traffic, NotRun> {
        let traffic = self.traffic.ok_or("it needs the tenant's events: give --data")?;
        if let (Some(gap), None) = (&traffic.gap, traffic.until) {
            return Err(gap.as_str().into());
        }
        self.stranger().map_or(Ok(traffic), |why| Err(NotRun::NotGiven(why)))
    }

    /// What is used, where the events go on until now: what data that ended long ago shows is not so today.
    fn lately(&self) -> Result<&'a Traffic, NotRun> {
        let traffic = self.seen()?;
        traffic.ended.as_deref().map_or(Ok(traffic), |why| Err(why.into()))
    }

    /// Why the events are most likely those of another tenant: hardly any application of this one occurs in them.
    pub fn stranger(&self) -> Option<String> {
        let traffic = self.traffic.filter(|traffic| traffic.until.is_some())?;
        let clients: Vec<&Thing> = applications::clients(self)
            .ok()?
            .map(|client| &client.thing)
            .filter(|thing| !thing.is_unnamed || thing.id.is_some())
            .collect();
        let known = clients.iter().filter(|thing| traffic.knows(thing.id.as_deref(), &thing.name)).count();
        let comparable = clients.len().min(traffic.clients.len());
        let is_strange = !clients.is_empty() && (known == 0 || known * HARDLY < comparable);
        is_strange.then(|| {
            format!(
                "the data seems to be of another tenant: of the {} applications of this one, {known} occur in it",
                clients.len()
            )
        })
    }
}

/// One of so many is hardly any.
const HARDLY: usize = 10;

pub type Judged = Result<(), NotRun>;

/// Something that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub thing: Thing,
    pub place: Place,
    /// In a file that is no document of values: a script.
    pub line: Option<u32>,
    /// What was seen, with values.
    pub evidence: String,
    /// How much of its beginning stays the same from day to day, in bytes; what is behind says when.
    pub lasting: usize,
}

impl Found {
    /// The evidence without what changes by itself: what findings are known again by.
    pub fn lasting_evidence(&self) -> &str {
        self.evidence.get(..self.lasting).unwrap_or(&self.evidence)
    }
}

/// What could not be judged, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unjudged {
    pub thing: Thing,
    pub why: NotRun,
}

#[derive(Debug, Default)]
pub struct Outcome {
    pub found: Vec<Found>,
    pub unjudged: Vec<Unjudged>,
}

impl Outcome {
    /// At a field of a thing.
    fn at<T>(&mut self, thing: &Thing, field: &Field<T>, evidence: impl Into<String>) {
        self.place(thing, thing.place.at(field.key), evidence);
    }

    /// At a thing as a whole.
    fn thing(&mut self, thing: &Thing, evidence: impl Into<String>) {
        self.place(thing, thing.place.clone(), evidence);
    }

    fn place(&mut self, thing: &Thing, place: Place, evidence: impl Into<String>) {
        let evidence = evidence.into();
        self.found.push(Found { thing: thing.clone(), place, line: None, lasting: evidence.len(), evidence });
    }

    /// Something of which nothing was seen, and in which time.
    fn unused(&mut self, thing: &Thing, place: Place, evidence: impl Into<String>, when: impl fmt::Display) {
        let evidence = evidence.into();
        let lasting = evidence.len();
        let evidence = format!("{evidence} {when}");
        self.found.push(Found { thing: thing.clone(), place, line: None, lasting, evidence });
    }

    /// At a line of a script, which may be a file of its own.
    fn script(&mut self, thing: &Thing, place: &Place, line: u32, evidence: impl Into<String>) {
        let is_file = place.pointer.is_empty();
        let evidence = evidence.into();
        let (line, lasting) = (is_file.then_some(line), evidence.len());
        self.found.push(Found { thing: thing.clone(), place: place.clone(), line, lasting, evidence });
    }

    fn unjudged(&mut self, thing: &Thing, key: &str, why: impl Into<NotRun>) {
        let why = why.into().map(|why| format!("{} {:?}: {key} is {why}", thing.kind, thing.name));
        self.unjudged.push(Unjudged { thing: thing.clone(), why });
    }

    /// The value if it is there; nothing, and a note of it, if it is not known.
    fn read<'f, T>(&mut self, thing: &Thing, field: &'f Field<T>) -> Option<Option<&'f T>> {
        match &field.value {
            Known::Is(value) => Some(Some(value)),
            Known::Absent => Some(None),
            Known::Unknown(why) => {
                self.unjudged(thing, field.key, why);
                None
            }
        }
    }

    /// Finds a switch that is on.
    fn on(&mut self, thing: &Thing, field: &Field<bool>, evidence: &str) {
        if self.read(thing, field) == Some(Some(&true)) {
            self.at(thing, field, evidence);
        }
    }

    /// Finds a switch that is off, or never was set.
    fn not_on(&mut self, thing: &Thing, field: &Field<bool>, evidence: &str) {
        if matches!(self.read(thing, field), Some(None | Some(false))) {
            self.at(thing, field, evidence);
        }
    }

    /// Finds what is not set.
    fn not_set<T>(&mut self, thing: &Thing, field: &Field<T>, evidence: &str) {
        if matches!(self.read(thing, field), Some(None)) {
            self.at(thing, field, evidence);
        }
    }
}

/// A part of the tenant, or why a check that needs it cannot be run.
fn part<T>(part: &Part<T>) -> Result<&T, NotRun> {
    part.as_ref().map_err(NotRun::clone)
}

/// Names, of which so many are shown that a line can be read.
fn listed(names: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 10;
    let mut list = names.iter().take(SHOWN).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        list += &format!(", and {} more", names.len() - SHOWN);
    }
    list
}

/// What stands for something that is not there.
fn tenant_thing(scene: &Scene<'_>, name: &str) -> Thing {
    let place = match &scene.tenant.settings {
        Ok(settings) => settings.thing.place.clone(),
        Err(_) => Place::of("tenant"),
    };
    Thing { kind: "tenant", name: name.to_owned(), id: None, place, is_unnamed: false }
}

/// How a check went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Passed,
    Found,
    NotRun(NotRun),
}

/// A check, and how it went.
pub struct Verdict {
    pub check: &'static Check,
    pub state: State,
    pub found: Vec<Found>,
    /// What could not be judged, also where something was found.
    pub unjudged: Vec<Unjudged>,
}

/// Judges a tenant by every check.
pub fn judge(scene: &Scene<'_>) -> Vec<Verdict> {
    all().map(|check| verdict(check, scene)).collect()
}

fn verdict(check: &'static Check, scene: &Scene<'_>) -> Verdict {
    let mut outcome = Outcome::default();
    let judged = (check.judge)(scene, &mut outcome);
    let Outcome { mut found, mut unjudged } = outcome;
    if judged.is_err() {
        // It was not run at all.
        unjudged.clear();
    }
    found.sort_by(|a, b| (&a.thing, &a.place).cmp(&(&b.thing, &b.place)));
    let state = match (judged, unjudged.first()) {
        (Err(why), _) => State::NotRun(why),
        (Ok(()), _) if !found.is_empty() => State::Found,
        (Ok(()), Some(first)) => State::NotRun(several(first, &unjudged)),
        (Ok(()), None) => State::Passed,
    };
    if matches!(state, State::NotRun(_)) {
        found.clear();
    }
    Verdict { check, state, found, unjudged }
}

/// Of several reasons one, which is what failed if anything did.
fn several(first: &Unjudged, all: &[Unjudged]) -> NotRun {
    let worst = &all.iter().find(|one| one.why.is_failed()).unwrap_or(first).why;
    match all.len() {
        1 => worst.clone(),
        count => worst.map(|why| format!("{why}, and {} more", count - 1)),
    }
}

/// Every check.
pub fn all() -> impl Iterator<Item = &'static Check> {
    let areas: [&[Check]; 9] = [
        tenant::CHECKS,
        applications::CHECKS,
        apis::CHECKS,
        origins::CHECKS,
        defences::CHECKS,
        connections::CHECKS,
        code::CHECKS,
        organizations::CHECKS,
        surface::CHECKS,
    ];
    areas.into_iter().flatten()
}

/// What no configuration and no event tells, so that somebody has to look.
pub struct ByHand {
    pub title: &'static str,
    pub why: &'static str,
}

pub const BY_HAND: [ByHand; 9] = [
    ByHand {
        title: "The tenant is marked as production at Auth0's support centre",
        why: "the Management API does not have its environment tag",
    },
    ByHand {
        title: "Everybody with access to the dashboard uses MFA, and still works here",
        why: "the Management API does not have dashboard administrators",
    },
    ByHand {
        title: "The npm packages that Actions use have no known holes",
        why: "it needs a list of advisories: run npm audit over them",
    },
    ByHand { title: "Every callback URL is still used", why: "ghostlight keeps no redirect URIs of events" },
    ByHand {
        title: "Client ids in the programs are those of this tenant",
        why: "the programs are not a part of the configuration",
    },
    ByHand {
        title: "Networks let Auth0's addresses through where they have to",
        why: "firewalls are not a part of the configuration",
    },
    ByHand { title: "user_metadata holds nothing a user must not change", why: "users' profiles are not read" },
    ByHand {
        title: "Certificates of enterprise connections do not expire soon",
        why: "certificates are not taken out of an export",
    },
    ByHand {
        title: "Production, test and development are different tenants",
        why: "one tenant's configuration does not tell",
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own_and_says_all_of_it() {
        let mut ids = BTreeSet::new();
        for check in all() {
            assert!(ids.insert(check.id), "{} is there twice", check.id);
            assert!(check.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
            for (what, text) in
                [("title", check.title), ("looks_at", check.looks_at), ("why", check.why), ("fix", check.fix)]
            {
                assert!(text.len() > 8 && !text.ends_with('.'), "{}: {what}: {text:?}", check.id);
            }
            assert!(check.docs.starts_with("https://auth0.com/docs/"), "{}: {}", check.id, check.docs);
        }
        assert!(ids.len() >= 100, "{} checks", ids.len());
    }
}

//! The settings of quotas: what a contract allows in a month, by tenant, and what token quotas allow in an hour or a day.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ConfigError;
use crate::usage::quota::TokenQuota;

/// Every quota there is to watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuotaSettings {
    /// For every tenant that has none of its own.
    pub monthly: MonthlyQuota,
    pub tenants: BTreeMap<String, MonthlyQuota>,
    /// Token quotas by `client_id`.
    pub client_tokens: BTreeMap<String, TokenQuota>,
    /// Token quotas by organization id.
    pub organization_tokens: BTreeMap<String, TokenQuota>,
}

impl QuotaSettings {
    pub(super) fn watches_users(&self) -> bool {
        std::iter::once(&self.monthly).chain(self.tenants.values()).any(|quota| quota.mau.is_some())
    }
}

/// What a tenant may use in a calendar month, UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MonthlyQuota {
    /// Distinct active users.
    pub mau: Option<u64>,
    /// Tokens that count toward the M2M quota.
    pub m2m_tokens: Option<u64>,
    /// Organizations with an active user.
    pub organizations: Option<u64>,
    /// Enterprise connections with a login.
    pub enterprise_connections: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQuota {
    mau: Option<u64>,
    m2m_tokens: Option<u64>,
    organizations: Option<u64>,
    enterprise_connections: Option<u64>,
    #[serde(default)]
    tenants: BTreeMap<String, RawMonthly>,
    #[serde(default)]
    client_tokens: Vec<RawTokens>,
    #[serde(default)]
    organization_tokens: Vec<RawTokens>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMonthly {
    mau: Option<u64>,
    m2m_tokens: Option<u64>,
    organizations: Option<u64>,
    enterprise_connections: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTokens {
    id: String,
    per_hour: Option<u64>,
    per_day: Option<u64>,
}

const TENANTS_EXAMPLE: &str = "[quota.tenants.acme]\n  mau = 25000";

pub(super) fn quota(raw: RawQuota) -> Result<QuotaSettings, ConfigError> {
    let RawQuota {
        mau,
        m2m_tokens,
        organizations,
        enterprise_connections,
        tenants,
        client_tokens,
        organization_tokens,
    } = raw;
    let monthly = MonthlyQuota {
        mau: at_least_one(mau, "quota.mau", "mau = 25000")?,
        m2m_tokens: at_least_one(m2m_tokens, "quota.m2m_tokens", "m2m_tokens = 100000")?,
        organizations: at_least_one(organizations, "quota.organizations", "organizations = 100")?,
        enterprise_connections: at_least_one(
            enterprise_connections,
            "quota.enterprise_connections",
            "enterprise_connections = 5",
        )?,
    };
    let of_tenant = |(name, raw): (String, RawMonthly)| {
        let count = |number| at_least_one(number, "quota.tenants", TENANTS_EXAMPLE);
        let quota = MonthlyQuota {
            mau: count(raw.mau)?,
            m2m_tokens: count(raw.m2m_tokens)?,
            organizations: count(raw.organizations)?,
            enterprise_connections: count(raw.enterprise_connections)?,
        };
        match name.trim().is_empty() || quota == MonthlyQuota::default() {
            true => Err(ConfigError::Value {
                key: "quota.tenants",
                problem: format!("{name:?} needs a name and a quota"),
                example: TENANTS_EXAMPLE,
            }),
            false => Ok((name, quota)),
        }
    };
    Ok(QuotaSettings {
        monthly,
        tenants: tenants.into_iter().map(of_tenant).collect::<Result<_, _>>()?,
        client_tokens: tokens(
            client_tokens,
            "quota.client_tokens",
            "client_tokens = [{ id = \"CLIENT_ID\", per_hour = 100, per_day = 1000 }]",
        )?,
        organization_tokens: tokens(
            organization_tokens,
            "quota.organization_tokens",
            "organization_tokens = [{ id = \"org_ID\", per_hour = 100, per_day = 1000 }]",
        )?,
    })
}

fn at_least_one(number: Option<u64>, key: &'static str, example: &'static str) -> Result<Option<u64>, ConfigError> {
    match number {
        Some(0) => Err(ConfigError::Value {
            key,
            problem: "0 of a quota is over before it begins; leave it out to have none".to_owned(),
            example,
        }),
        number => Ok(number),
    }
}

fn tokens(
    raw: Vec<RawTokens>,
    key: &'static str,
    example: &'static str,
) -> Result<BTreeMap<String, TokenQuota>, ConfigError> {
    let wrong = |problem| ConfigError::Value { key, problem, example };
    let mut all = BTreeMap::new();
    for RawTokens { id, per_hour, per_day } in raw {
        if id.trim().is_empty() {
            return Err(wrong("an id is empty".to_owned()));
        }
        if per_hour.is_none() && per_day.is_none() {
            return Err(wrong(format!("{id:?} has neither per_hour nor per_day")));
        }
        let quota = TokenQuota {
            per_hour: at_least_one(per_hour, key, example)?,
            per_day: at_least_one(per_day, key, example)?,
        };
        if all.insert(id.clone(), quota).is_some() {
            return Err(wrong(format!("{id:?} is there twice")));
        }
    }
    Ok(all)
}

impl QuotaSettings {
    /// A tenant's own quotas, and those for every tenant where it has none of its own.
    pub fn of(&self, tenant: &str) -> MonthlyQuota {
        let own = self.tenants.get(tenant).copied().unwrap_or_default();
        MonthlyQuota {
            mau: own.mau.or(self.monthly.mau),
            m2m_tokens: own.m2m_tokens.or(self.monthly.m2m_tokens),
            organizations: own.organizations.or(self.monthly.organizations),
            enterprise_connections: own.enterprise_connections.or(self.monthly.enterprise_connections),
        }
    }

    pub(super) fn describe(&self) -> Vec<String> {
        let one = |key: &str, quota: Option<u64>| line(key, &quota.map_or_else(|| NONE.to_owned(), |n| n.to_string()));
        let of_tenant = |(name, quota): (&String, &MonthlyQuota)| {
            let numbers = [
                ("mau", quota.mau),
                ("m2m_tokens", quota.m2m_tokens),
                ("organizations", quota.organizations),
                ("enterprise_connections", quota.enterprise_connections),
            ];
            format!("{name}: {}", pairs(&numbers))
        };
        let tokens = |all: &BTreeMap<String, TokenQuota>| {
            let one = |(id, quota): (&String, &TokenQuota)| {
                format!("{id}: {}", pairs(&[("per_hour", quota.per_hour), ("per_day", quota.per_day)]))
            };
            listed(all.iter().map(one).collect())
        };
        vec![
            one("quota.mau", self.monthly.mau),
            one("quota.m2m_tokens", self.monthly.m2m_tokens),
            one("quota.organizations", self.monthly.organizations),
            one("quota.enterprise_connections", self.monthly.enterprise_connections),
            line("quota.tenants", &listed(self.tenants.iter().map(of_tenant).collect())),
            line("quota.client_tokens", &tokens(&self.client_tokens)),
            line("quota.organization_tokens", &tokens(&self.organization_tokens)),
        ]
    }
}

const NONE: &str = "(none)";

fn line(key: &str, value: &str) -> String {
    format!("{key:<29} {value}")
}

fn listed(all: Vec<String>) -> String {
    if all.is_empty() { NONE.to_owned() } else { all.join("; ") }
}

fn pairs(numbers: &[(&str, Option<u64>)]) -> String {
    let given: Vec<_> =
        numbers.iter().filter_map(|(name, number)| number.map(|number| format!("{name} {number}"))).collect();
    given.join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    #[test]
    fn a_tenants_own_quota_goes_before_that_for_all() {
        let text = "[quota]\nmau = 1000\nm2m_tokens = 5\n[quota.tenants.acme]\nmau = 7\n[[quota.client_tokens]]\nid = \
                    \"c\"\nper_hour = 3\n[[quota.organization_tokens]]\nid = \"org_1\"\nper_day = 9";
        let config = Config::parse(text, Path::new("x.toml")).expect("right");
        let quota = &config.quota;
        assert_eq!((quota.of("acme").mau, quota.of("acme").m2m_tokens), (Some(7), Some(5)));
        assert_eq!(quota.of("other").mau, Some(1000));
        assert_eq!(quota.client_tokens["c"], TokenQuota { per_hour: Some(3), per_day: None });
        let described = config.describe();
        for line in [
            "quota.mau                     1000",
            "quota.tenants                 acme: mau 7",
            "quota.client_tokens           c: per_hour 3",
            "quota.organization_tokens     org_1: per_day 9",
            "quota.organizations           (none)",
        ] {
            assert!(described.lines().any(|found| found == line), "{line}: {described}");
        }
    }

    #[test]
    fn errors_name_the_quota_and_show_a_right_line() {
        for (text, key, example) in [
            ("mau = 0", "quota.mau", "mau = 25000"),
            ("tenants = { acme = {} }", "quota.tenants", "[quota.tenants.acme]"),
            ("tenants = { acme = { mau = 0 } }", "quota.tenants", "[quota.tenants.acme]"),
            ("client_tokens = [{ id = \"\", per_hour = 1 }]", "quota.client_tokens", "per_hour = 100"),
            ("client_tokens = [{ id = \"c\" }]", "neither per_hour nor per_day", "per_hour = 100"),
            ("client_tokens = [{ id = \"c\", per_day = 0 }]", "quota.client_tokens", "per_hour = 100"),
            (
                "organization_tokens = [{ id = \"o\", per_day = 1 }, { id = \"o\", per_day = 2 }]",
                "there twice",
                "org_ID",
            ),
        ] {
            let error = Config::parse(&format!("[quota]\n{text}"), Path::new("x")).expect_err("not right").to_string();
            assert!(error.contains(key) && error.contains(example), "{text}: {error}");
        }
    }
}

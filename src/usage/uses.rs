//! Who used what, and on which days: applications, each with every connection and type of event, and organizations. The rest
//! is the audit's: what was never used only the tenant's configuration tells.

use std::collections::BTreeMap;

use super::activity::is_enterprise;
use super::users::entry;
use crate::event::{Class, Day, catalogue};
use crate::partial::CountsRow;

/// Events by day.
pub type Days = BTreeMap<Day, u64>;

/// The uses of one tenant.
#[derive(Default)]
pub struct Uses {
    /// The empty one has what no application was named for.
    clients: BTreeMap<String, ClientUses>,
    organizations: BTreeMap<String, Days>,
}

#[derive(Default)]
pub struct ClientUses {
    pub days: BTreeMap<Day, ClientDay>,
    /// Logins, signups and exchanges that worked, by connection.
    pub connections: BTreeMap<String, Days>,
    /// The last day of each type of event.
    pub types: BTreeMap<&'static str, Day>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct ClientDay {
    pub events: u64,
    pub logins: Logins,
}

/// Logins that worked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Logins {
    pub all: u64,
    pub without_organization: u64,
    /// Single sign-on, which names none.
    pub without_connection: u64,
    pub enterprise: u64,
}

impl Logins {
    pub fn add(&mut self, more: &Self) {
        self.all += more.all;
        self.without_organization += more.without_organization;
        self.without_connection += more.without_connection;
        self.enterprise += more.enterprise;
    }
}

impl Uses {
    pub(super) fn absorb(&mut self, row: &CountsRow<'_>) {
        let kind = catalogue::lookup(row.type_code);
        let day = Day::of(row.window_start);
        let client = entry(&mut self.clients, row.client_id);
        let last = client.types.entry(kind.code).or_insert(day);
        *last = day.max(*last);
        let of_day = client.days.entry(day).or_default();
        of_day.events += row.events;
        if kind.class == Class::LoginOk {
            let count = |is_so: bool| if is_so { row.events } else { 0 };
            of_day.logins.add(&Logins {
                all: row.events,
                without_organization: count(row.organization_id.is_empty()),
                without_connection: count(row.connection.is_empty()),
                enterprise: count(is_enterprise(row.strategy)),
            });
        }
        // A failed login is no use of a connection.
        let is_use = matches!(kind.class, Class::LoginOk | Class::SignupOk | Class::UserTokenOk);
        if is_use && !row.connection.is_empty() {
            *entry(&mut client.connections, row.connection).entry(day).or_default() += row.events;
        }
        if !row.organization_id.is_empty() {
            *entry(&mut self.organizations, row.organization_id).entry(day).or_default() += row.events;
        }
    }

    pub(super) fn forget_before(&mut self, day: Day) {
        let forget = |all: &mut BTreeMap<String, Days>| {
            all.values_mut().for_each(|days| *days = days.split_off(&day));
            all.retain(|_, days| !days.is_empty());
        };
        for client in self.clients.values_mut() {
            client.days = client.days.split_off(&day);
            client.types.retain(|_, last| *last >= day);
            forget(&mut client.connections);
        }
        self.clients.retain(|_, client| !client.days.is_empty());
        forget(&mut self.organizations);
    }

    pub fn clients(&self) -> impl Iterator<Item = (&str, &ClientUses)> {
        self.clients.iter().map(|(id, client)| (id.as_str(), client))
    }

    pub fn organizations(&self) -> impl Iterator<Item = (&str, &Days)> {
        self.organizations.iter().map(|(id, days)| (id.as_str(), days))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventTime;

    fn row(
        type_code: &'static str,
        day: i64,
        connection: &'static str,
        organization_id: &'static str,
    ) -> CountsRow<'static> {
        CountsRow {
            window_start: EventTime::from_ms(day * 86_400_000 + 1),
            window_seconds: 300,
            tenant: "acme",
            type_code,
            client_id: "portal",
            connection,
            strategy: "samlp",
            organization_id,
            events: 2,
        }
    }

    #[test]
    fn days_that_are_forgotten_leave_nothing_behind() {
        let mut uses = Uses::default();
        for day in 0..10 {
            uses.absorb(&row("s", day, "acme-saml", "org_1"));
        }
        uses.absorb(&row("s", 3, "", "org_2"));
        uses.absorb(&row("f", 4, "old", ""));
        uses.absorb(&row("seacft", 4, "old", ""));
        let (_, client) = uses.clients().next().expect("a client");
        let logins = Logins { all: 4, without_organization: 0, without_connection: 2, enterprise: 4 };
        assert_eq!(
            (client.days[&Day::of(EventTime::from_ms(3 * 86_400_000))].logins, client.connections.len()),
            (logins, 2)
        );
        assert_eq!(client.connections["old"].values().sum::<u64>(), 2, "a failed login is no use");
        uses.forget_before(Day::of(EventTime::from_ms(8 * 86_400_000)));
        let (_, client) = uses.clients().next().expect("it was used since");
        assert_eq!((client.days.len(), client.types.len(), client.connections.len()), (2, 1, 1));
        assert_eq!(uses.organizations().map(|(id, days)| (id, days.len())).collect::<Vec<_>>(), [("org_1", 2)]);
        uses.forget_before(Day::of(EventTime::from_ms(20 * 86_400_000)));
        assert_eq!((uses.clients().count(), uses.organizations().count()), (0, 0));
    }
}

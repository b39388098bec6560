//! What the live page is tested with: models full of data, without any, and with the worst that data can hold; and a
//! server that shows them.

use std::net::SocketAddr;
use std::sync::Arc;

use ghostlight::config::Secret;
use ghostlight::event::EventTime;
use ghostlight::live::model::{
    Activity, AlertView, Audit, AuditFinding, ClientTokens, ConnectionFailures, CountOfMonth, Evidence, Ghost,
    GhostsChecked, Ingest, Model, Month, PartitionState, Projection, TenantOverview, TokenWindow, TokensOfMonth,
    TypeActivity, UserDay, Users, UsersOfMonth,
};
use ghostlight::live::{self, Listener, Readiness, page};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The live page on a port of its own.
pub struct PageServer {
    pub address: SocketAddr,
    overview: watch::Sender<Arc<Model>>,
    token: Option<Secret>,
    running: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl PageServer {
    pub async fn start(model: Model, token: Option<&str>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let token = token.map(|token| Secret::new(token.to_owned()));
        let mut server = Self { address, overview: watch::Sender::new(Arc::new(model)), token, running: None };
        server.serve(listener);
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Shows another model; its revision is the next.
    pub fn show(&self, mut model: Model) {
        self.overview.send_modify(|shown| {
            model.revision = shown.revision + 1;
            *shown = Arc::new(model);
        });
    }

    fn serve(&mut self, listener: TcpListener) {
        let (stop, mut stopping) = watch::channel(false);
        let page = page::router(self.overview.subscribe(), self.token.clone(), stopping.clone());
        let metrics = live::metrics::install().expect("a recorder");
        let router = live::router(Readiness::default(), None, metrics, self.token.as_ref()).merge(page);
        let until = async move { drop(stopping.wait_for(|stopping| *stopping).await) };
        let server = axum::serve(Listener::new(listener), router).with_graceful_shutdown(until);
        self.running = Some((stop, tokio::spawn(async move { server.await.expect("serves") })));
    }

    /// Shuts down as `ghostlight run` does, and returns once every connection has ended.
    pub async fn stop(&mut self) {
        let (stop, server) = self.running.take().expect("it runs");
        stop.send_replace(true);
        server.await.expect("ends well");
    }

    /// Serves again, at the same address.
    pub async fn start_again(&mut self) {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        // What is left of the old connections waits for a minute.
        socket.set_reuseaddr(true).expect("an option of every socket");
        socket.bind(self.address).expect("the port is still free");
        self.serve(socket.listen(64).expect("listens"));
    }
}

const DAY_MS: i64 = 86_400_000;

/// The newest event of every model: 2026-11-23T14:03:20Z.
const AS_OF: EventTime = EventTime::from_ms(1_795_442_600_000);

fn before(ms: i64) -> EventTime {
    EventTime::from_ms(AS_OF.ms() - ms)
}

fn audit() -> Audit {
    let finding = |check: &str, title: &str, subject: &str, evidence: &[&str]| AuditFinding {
        check: check.to_owned(),
        title: title.to_owned(),
        subject: subject.to_owned(),
        evidence: evidence.iter().map(|seen| (*seen).to_owned()).collect(),
        why: "whoever holds the client's secret can make tokens that pass for the tenant's".to_owned(),
        fix: "set the JsonWebToken signature algorithm of the application to RS256".to_owned(),
        docs: "https://auth0.com/docs/get-started/applications/signing-algorithms".to_owned(),
        is_judged: true,
    };
    Audit {
        source: "northwind-prod.eu.auth0.com".to_owned(),
        at: Some(before(600_000)),
        problem: None,
        events: Some("events of \"northwind-prod\" in 30 days (2026-10-24 to 2026-11-23)".to_owned()),
        required: 2,
        recommended: 7,
        best_practice: 4,
        accepted: 1,
        not_run: 12,
        findings: vec![
            finding("client-alg-hs256", "ID tokens are signed with HS256", "application Portal", &["HS256"]),
            finding(
                "client-callback-localhost",
                "A callback URL leads to the user's own computer",
                "application Billing",
                &["http://localhost:3000/callback", "http://localhost:8080/callback"],
            ),
        ],
    }
}

fn users(estimate: f64) -> Users {
    Users { estimate: estimate.round(), lower: (estimate * 0.953).floor(), upper: (estimate * 1.049).ceil() }
}

/// A tenant with something of everything.
pub fn full() -> Model {
    let mut second = tenant("northwind-staging");
    second.ghosts.clear();
    second.alerts.clear();
    second.held_back = None;
    second.month.active_users.quota = None;
    second.month.m2m_tokens.quota = None;
    second.month.organizations.quota = None;
    second.month.enterprise_connections.quota = None;
    Model { revision: 1, as_of: Some(AS_OF), tenants: vec![tenant("northwind-prod"), second], ingest: ingest(14) }
}

/// The same a moment later: other numbers, and the second ghost is now the first.
pub fn next() -> Model {
    let mut model = full();
    let tenant = &mut model.tenants[0];
    tenant.month.active_users.users = users(19_001.0);
    tenant.ghosts.swap(0, 1);
    tenant.ghosts[0].avoidable = 300_000;
    model
}

/// Before the first event.
pub fn empty() -> Model {
    Model::default()
}

/// A tenant that has just begun: no ghosts, no alerts, no quota, nothing in any list.
pub fn quiet() -> Model {
    let tenant = TenantOverview {
        tenant: "new".to_owned(),
        as_of: Some(AS_OF),
        month: Month { name: "2026-11".to_owned(), elapsed: 0.75, ..Month::default() },
        ghosts_checked: GhostsChecked { clients: 12, issued: 34_567, from: Some(before(22 * DAY_MS)) },
        ..TenantOverview::default()
    };
    Model { revision: 1, as_of: Some(AS_OF), tenants: vec![tenant], ingest: ingest(1) }
}

/// Names that are HTML, or have no end and no space, or turn what follows round; many ghosts; numbers as large as they come.
pub fn hostile() -> Model {
    const HTML: &str = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>&amp;";
    let long = "x".repeat(700);
    let mut tenant = tenant(&format!("{HTML}{}", "t".repeat(200)));
    let ghost = tenant.ghosts[0].clone();
    tenant.ghosts = (0_u64..40)
        .map(|n| Ghost {
            id: format!("{n:016x}"),
            client_id: if n % 2 == 0 { HTML.to_owned() } else { long.clone() },
            client_name: if n % 3 == 0 { long.clone() } else { HTML.to_owned() },
            audience: if n % 2 == 0 { long.clone() } else { HTML.to_owned() },
            keys: u64::MAX / 4,
            since: (n == 5).then(|| before(DAY_MS)),
            issued: 999_999_999_999,
            avoidable: 999_999_999_998 - n,
            projected_avoidable: Some(9_999_999_999_999),
            quota_share: Some(12_345.0),
            user_agents: vec![HTML.to_owned(), long.clone(), "\u{202e}exe.gpj\u{200b}".to_owned()],
            lifetime_from: HTML.to_owned(),
            first_log_id: long.clone(),
            explanation: format!("{HTML} {long}"),
            fix: format!("{HTML}\n{long}"),
            ..ghost.clone()
        })
        .collect();
    for alert in &mut tenant.alerts {
        alert.title = format!("{HTML}{long}");
        alert.subject = long.clone();
        alert.summary = format!("{HTML}{long}");
        alert.evidence = vec![Evidence { name: long.clone(), value: HTML.to_owned() }];
        alert.rule = long.clone();
    }
    tenant.held_back = Some(format!("{HTML}{long}"));
    if let Some(audit) = &mut tenant.audit {
        audit.source = format!("{HTML}{long}");
        audit.problem = Some(format!("{HTML}{long}"));
        audit.findings[0].subject = format!("application {HTML}{long}");
        audit.findings[0].evidence = vec![format!("{HTML}{long}")];
    }
    tenant.month.m2m_tokens.issued = u64::MAX / 4;
    tenant.month.active_users.users = users(1e15);
    tenant.month.active_users.projected = Some(Projection { value: 1e15, lower: 9e14, upper: 2e15 });
    for activity in tenant.activity.rate_limits.iter_mut().chain(&mut tenant.activity.attacks) {
        activity.meaning = format!("{HTML}{long}");
        activity.events_last_day = 9_999_999_999;
    }
    tenant.activity.failures[0].connection = format!("{HTML}{long}");
    for window in &mut tenant.token_rate {
        window.issued = 9_999_999_999;
        window.avoidable = window.issued - window.needed;
    }
    let mut ingest = ingest(200);
    ingest.problem = Some(format!("{HTML}{long}"));
    ingest.partitions[0].partition = long;
    ingest.records = u64::MAX / 4;
    Model { revision: 1, as_of: Some(AS_OF), tenants: vec![tenant], ingest }
}

fn tenant(name: &str) -> TenantOverview {
    TenantOverview {
        tenant: name.to_owned(),
        as_of: Some(AS_OF),
        month: month(),
        active_users_by_day: active_users(),
        token_rate: token_rate(),
        ghosts: ghosts(),
        ghosts_checked: GhostsChecked { clients: 37, issued: 1_391_220, from: Some(before(22 * DAY_MS)) },
        clients: clients(),
        alerts: alerts(),
        held_back: Some(
            "partition kafka.auth0-logs/Xq3/7 is 20 min behind: committed up to 13:43 UTC, last read 14:03 UTC"
                .to_owned(),
        ),
        activity: activity(),
        audit: Some(audit()),
    }
}

fn month() -> Month {
    Month {
        name: "2026-11".to_owned(),
        elapsed: 0.7529,
        active_users: UsersOfMonth {
            users: users(18_342.0),
            quota: Some(25_000),
            projected: Some(Projection { value: 21_870.0, lower: 21_020.0, upper: 22_910.0 }),
            runs_out_on: None,
        },
        m2m_tokens: TokensOfMonth {
            issued: 1_284_310,
            needed: 812_400,
            avoidable: 471_910,
            unbillable: 106_910,
            quota: Some(1_500_000),
            projected: Some(Projection { value: 1_731_000.0, lower: 1_655_000.0, upper: 1_822_000.0 }),
            runs_out_on: Some("2026-11-27".to_owned()),
        },
        organizations: CountOfMonth { active: 148, quota: Some(200) },
        enterprise_connections: CountOfMonth { active: 31, quota: None },
    }
}

fn active_users() -> Vec<UserDay> {
    let (mut week, mut month) = (0.0, 0.0);
    (0_u32..23)
        .map(|day| {
            // 2026-11-01 is a Sunday: weeks begin on the 2nd, and weekends are quiet.
            let weekday = (day + 6) % 7;
            let today = match weekday {
                5 | 6 => 2_100.0 + f64::from(day) * 9.0,
                _ => 5_900.0 + f64::from(day * 37 % 11) * 90.0,
            } * if day == 22 { 0.55 } else { 1.0 };
            week = if weekday == 0 || day == 0 { today } else { week + today * 0.11 };
            month += today * if day == 0 { 1.0 } else { 0.15 };
            UserDay {
                date: format!("2026-11-{:02}", day + 1),
                day: users(today),
                week: users(week),
                month: users(month),
            }
        })
        .collect()
}

fn token_rate() -> Vec<TokenWindow> {
    let first = before(DAY_MS).ms() / 300_000 + 1;
    (first..first + 287)
        .enumerate()
        .filter(|(n, _)| !(40..44).contains(n))
        .map(|(n, window)| {
            let at = EventTime::from_ms(window * 300_000);
            let hour = (at.ms() % DAY_MS) as f64 / 3_600_000.0;
            let needed = (90.0 + 60.0 * (1.0 - ((hour - 13.0) / 24.0 * std::f64::consts::TAU).cos().abs())) as u64
                + n as u64 * 7 % 13;
            // The cache that broke at 02:15.
            let avoidable = 25 + n as u64 * 11 % 9 + if (2.25..).contains(&hour) && n > 100 { 160 } else { 0 };
            TokenWindow { at, issued: needed + avoidable, needed, avoidable }
        })
        .collect()
}

fn clients() -> Vec<ClientTokens> {
    let of = |number: usize, verdict: &str, addresses: u64, explanation: &str| ClientTokens {
        id: format!("3f9a11c0de77bb{number:02}"),
        client_id: "Zk3mT0c7qL1vB9xWn4Rd8yHsPf2eUaJg".to_owned(),
        client_name: ["invoice-worker", "", "nightly export", "edge functions"][number].to_owned(),
        audience: "https://api.northwind.example/billing".to_owned(),
        verdict: verdict.to_owned(),
        confidence: "high".to_owned(),
        billable: true,
        issued: 261_344 >> (2 * number),
        needed: 92,
        needed_shared: 23,
        addresses,
        explanation: explanation.to_owned(),
    };
    vec![
        of(0, "does not cache", 4, "261,252 of 261,344 tokens were asked for while one was valid (lifetime 1day)"),
        of(1, "caches well", 1, "0 of 65336 tokens avoidable (lifetime 1day, the default)"),
        of(2, "caches per process only", 1, "asks every 1h by the clock: a job that starts anew each time"),
        of(3, "caches per process only", 1_024, "each of 1024 addresses caches; one cache shared by all would need 23"),
    ]
}

fn ghosts() -> Vec<Ghost> {
    let ghost = Ghost {
        id: "3f9a11c0de77aa01".to_owned(),
        client_id: "Zk3mT0c7qL1vB9xWn4Rd8yHsPf2eUaJg".to_owned(),
        client_name: "invoice-worker".to_owned(),
        audience: "https://api.northwind.example/billing".to_owned(),
        keys: 1,
        verdict: "does not cache".to_owned(),
        confidence: "high".to_owned(),
        billable: true,
        issued: 261_344,
        needed: 92,
        avoidable: 261_252,
        waste_ratio: 0.9996,
        needed_shared: 23,
        equals_processes: 2_840,
        addresses: 4,
        user_agents: vec!["node-auth0/4.2.0".to_owned(), "axios/1.6.2".to_owned()],
        median_spacing_seconds: Some(1.4),
        lifetime_seconds: 86_400,
        lifetime_from: "assumed: the events do not tell, set it in [ghosts.lifetimes]".to_owned(),
        projected_avoidable: Some(347_000),
        quota_share: Some(0.2313),
        first_log_id: "90020261101000003127000000000000001223372036854775813".to_owned(),
        last_log_id: "90020261123140318994000000000000001223372036921884671".to_owned(),
        explanation: "Each request asks for a new token: tokens come 1.4 s apart (median) from 4 addresses, and live for \
                      86,400 s. Even with a cache in each of its processes, 92 would have done."
            .to_owned(),
        fix: "node-auth0: make one AuthenticationClient for the process, not one for each request, and keep the token of \
              oauth.clientCredentialsGrant until shortly before expires_in has passed."
            .to_owned(),
        ..Ghost::default()
    };
    vec![
        ghost.clone(),
        Ghost {
            id: "3f9a11c0de77aa02".to_owned(),
            client_id: "b7Qw2".to_owned() + "Ns8KfLx0PzYtR5mVcJ1hEaGdU3o",
            client_name: "Order sync (production)".to_owned(),
            audience: "https://api.northwind.example/orders".to_owned(),
            keys: 148,
            verdict: "was caching until 2026-11-23T02:15:00.000Z".to_owned(),
            since: Some(before(11 * 3_600_000 + 48 * 60_000)),
            confidence: "high".to_owned(),
            issued: 160_120,
            needed: 1_812,
            avoidable: 158_308,
            waste_ratio: 0.9887,
            projected_avoidable: Some(1_020_000),
            quota_share: Some(0.68),
            user_agents: vec!["python-requests/2.31.0".to_owned()],
            explanation: "Until 02:15 UTC it asked once a day from each address; since then every 0.4 s.".to_owned(),
            fix: "Look at what was released at 02:15 UTC. Python: keep the answer of GetToken.client_credentials in a \
                  module, not in the request."
                .to_owned(),
            ..ghost.clone()
        },
        Ghost {
            id: "3f9a11c0de77aa03".to_owned(),
            client_id: "Lm4Rb1ZTnVwq8Kx2c7qL1vB9xWn4Rd8y".to_owned(),
            client_name: String::new(),
            audience: "https://northwind-prod.eu.auth0.com/api/v2/".to_owned(),
            verdict: "caches partly".to_owned(),
            confidence: "medium".to_owned(),
            billable: false,
            issued: 104_210,
            needed: 51_977,
            avoidable: 52_233,
            waste_ratio: 0.5012,
            addresses: 61,
            user_agents: Vec::new(),
            median_spacing_seconds: None,
            projected_avoidable: None,
            quota_share: None,
            first_log_id: String::new(),
            last_log_id: String::new(),
            ..ghost.clone()
        },
        Ghost {
            id: "3f9a11c0de77aa04".to_owned(),
            client_name: "reporting-cron".to_owned(),
            audience: "https://api.northwind.example/reports".to_owned(),
            verdict: "caches per process only".to_owned(),
            confidence: "low".to_owned(),
            issued: 8_640,
            needed: 8_540,
            avoidable: 100,
            waste_ratio: 0.0116,
            ..ghost
        },
    ]
}

fn alerts() -> Vec<AlertView> {
    let firing = AlertView {
        id: "ghost-usage:3f9a11c0de77aa02".to_owned(),
        sequence: 0,
        rule: "ghost-usage".to_owned(),
        severity: "critical".to_owned(),
        status: "firing".to_owned(),
        subject: "Order sync (production) for https://api.northwind.example/orders".to_owned(),
        title: "Order sync (production) stopped caching its token".to_owned(),
        summary:
            "158,308 of 160,120 tokens since 02:15 UTC were avoidable: 0.4 s apart, from 4 addresses. At this rate \
                  the tenant's token quota of 1,500,000 is used up on 2026-11-27."
                .to_owned(),
        evidence: vec![
            Evidence { name: "Avoidable".to_owned(), value: "158,308 tokens".to_owned() },
            Evidence { name: "Addresses".to_owned(), value: "4".to_owned() },
        ],
        fix: Some(
            "Look at what was released at 02:15 UTC; roll it back, or keep the token for its lifetime.".to_owned(),
        ),
        since: before(11 * 3_600_000 + 48 * 60_000),
        at: before(11 * 3_600_000 + 38 * 60_000),
    };
    let quota = AlertView {
        id: "quota-m2m:77aa010c0de3f911".to_owned(),
        rule: "quota-m2m-tokens".to_owned(),
        severity: "warning".to_owned(),
        subject: "M2M tokens of northwind-prod".to_owned(),
        title: "The quota of M2M tokens runs out on 2026-11-27".to_owned(),
        fix: None,
        evidence: Vec::new(),
        since: before(8 * 3_600_000),
        ..firing.clone()
    };
    let resolved = (1_i64..=7).map(|n| AlertView {
        id: "rate-limit:0c0de3f91177aa01".to_owned(),
        sequence: 15 - 2 * n as u64,
        rule: "rate-limit".to_owned(),
        severity: "warning".to_owned(),
        status: "resolved".to_owned(),
        subject: "api_limit of northwind-prod".to_owned(),
        title: "Rate limit of the Management API was hit".to_owned(),
        since: before(n * DAY_MS + 3_600_000),
        at: before(n * DAY_MS),
        ..quota.clone()
    });
    [firing.clone(), quota.clone()].into_iter().chain(resolved).collect()
}

fn activity() -> Activity {
    let of = |type_code: &str, meaning: &str, day: u64, hour: u64| TypeActivity {
        type_code: type_code.to_owned(),
        meaning: meaning.to_owned(),
        events_last_day: day,
        events_last_hour: hour,
        last_at: Some(before(60_000 * day as i64 % 7_000_000)),
    };
    Activity {
        rate_limits: vec![
            of("api_limit", "a rate limit of the Authentication or Management API was hit", 1_204, 61),
            of("api_limit_warning", "a rate limit is nearly reached", 312, 14),
        ],
        attacks: vec![
            of("limit_wc", "IP blocked for one account: brute force", 48, 0),
            of("pwd_leak", "login with a leaked password", 9, 2),
        ],
        failures: vec![
            ConnectionFailures { connection: "acme-saml".to_owned(), failed: 812, succeeded: 1_190, ratio: 0.4056 },
            ConnectionFailures {
                connection: "Username-Password-Authentication".to_owned(),
                failed: 310,
                succeeded: 9_870,
                ratio: 0.0305,
            },
            ConnectionFailures { connection: String::new(), failed: 3, succeeded: 0, ratio: 1.0 },
        ],
    }
}

fn ingest(partitions: u64) -> Ingest {
    let partition = |n: u64| PartitionState {
        partition: format!("kafka.auth0-logs/Xq3v0mT9SFqCk1bJzYw2Hg/{n}"),
        position: 4_120_000 + n * 1_733,
        frontier: (n != 3).then(|| before(n as i64 * 400)),
        is_caught_up: !matches!(n, 3 | 7),
        lag_seconds: match n {
            3 => None,
            7 => Some(1_213),
            _ => Some(0),
        },
    };
    Ingest {
        partitions: (0..partitions).map(partition).collect(),
        records: 57_912_334,
        rejected: 412,
        events: 57_950_120,
        duplicates: 118_220,
        max_lateness_ms: 8_123_400,
        problem: None,
    }
}

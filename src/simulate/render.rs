//! Writes an event as Auth0 writes it. The same [`Event`] always gives the same bytes.

use super::cast::{APPLICATIONS, CONNECTIONS, Cast, NAMES, Person, Tenant, USER_AGENTS, client_id};
use super::mix;
use super::plan::{Event, NONE, Shape};
use super::write::{ascii_string, compact_date, date, digits, escaped, hex, number, raw, string, uuid};

/// Country, three letters, name, city, latitude, longitude, time zone, continent.
const PLACES: [[&str; 8]; 6] = [
    ["US", "USA", "United States", "San José", "37.3382", "-121.8863", "America/Los_Angeles", "NA"],
    ["DE", "DEU", "Germany", "Düsseldorf", "51.2277", "6.7735", "Europe/Berlin", "EU"],
    ["FR", "FRA", "France", "Saint-Étienne", "45.4397", "4.3872", "Europe/Paris", "EU"],
    ["JP", "JPN", "Japan", "東京", "35.6764", "139.6500", "Asia/Tokyo", "AS"],
    ["BR", "BRA", "Brazil", "São Paulo", "-23.5558", "-46.6396", "America/Sao_Paulo", "SA"],
    ["AU", "AUS", "Australia", "Sydney", "-33.8688", "151.2093", "Australia/Sydney", "OC"],
];

const USER_SCOPES: [&str; 3] =
    ["openid profile email", "openid profile email offline_access", "openid profile email read:orders write:orders"];

/// Writes the id of the event, without quotes: 55 digits, the layout Auth0 uses.
pub fn log_id(out: &mut Vec<u8>, event: &Event) {
    raw(out, "900");
    compact_date(out, event.ingested);
    raw(out, "1223372036854775");
    digits(out, event.number, 13);
    digits(out, event.seed % 1_000_000, 6);
}

/// Writes the event as a flat object.
pub fn flat(out: &mut Vec<u8>, event: &Event, cast: &Cast) {
    let tenant = &cast.tenants[usize::from(event.tenant)];
    let writer = Writer {
        event,
        tenant,
        person: tenant.person(event.user),
        place: &PLACES[(mix(u64::from(event.user)) % 6) as usize],
    };
    writer.event(out);
}

struct Writer<'a> {
    event: &'a Event,
    tenant: &'a Tenant,
    person: Person,
    place: &'static [&'static str; 8],
}

/// Writes a member that is not the first, with a value written by what follows.
fn key(out: &mut Vec<u8>, name: &str) {
    raw(out, ",\"");
    raw(out, name);
    raw(out, "\":");
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    key(out, name);
    string(out, value);
}

impl Writer<'_> {
    /// A number of the event's own, the same each time it is asked for.
    fn pick(&self, what: u64) -> u64 {
        mix(self.event.seed ^ (what << 48))
    }

    fn event(&self, out: &mut Vec<u8>) {
        let (event, kind) = (self.event, self.event.kind());
        raw(out, "{\"date\":\"");
        date(out, event.date, true);
        out.push(b'"');
        member(out, "type", kind.code);
        member(out, "description", kind.description);
        match kind.shape {
            Shape::TokenIssued | Shape::TokenRefused => self.machine(out),
            Shape::Management => self.management(out),
            _ => self.user_event(out),
        }
        raw(out, ",\"$event_schema\":{\"version\":\"1.0.0\"}");
        member(out, "environment_name", "prod-us-1");
        member(out, "tenant_name", &self.tenant.name);
        raw(out, ",\"log_id\":\"");
        log_id(out, event);
        out.push(b'"');
        // Views of the Management API repeat the id, and name the place.
        if self.pick(1).is_multiple_of(16) {
            for name in ["_id", "id"] {
                key(out, name);
                out.push(b'"');
                log_id(out, event);
                out.push(b'"');
            }
        }
        out.push(b'}');
    }

    fn user_event(&self, out: &mut Vec<u8>) {
        let (event, kind) = (self.event, self.event.kind());
        let application = usize::from(event.actor) % APPLICATIONS.len();
        let connection = self.person.connection;
        if event.connection != NONE {
            member(out, "connection", CONNECTIONS[connection].name);
            member(out, "connection_id", &self.tenant.connection_ids[connection]);
        } else {
            member(out, "connection_id", "");
        }
        member(out, "client_id", &self.tenant.applications[application]);
        member(out, "client_name", APPLICATIONS[application]);
        // Some types have no address at all.
        if kind.shape != Shape::ApiLimit {
            key(out, "ip");
            self.address(out);
        }
        if self.exchanges_token() {
            key(out, "client_ip");
            self.address(out);
        }
        let (agent, mobile) = self.agent();
        member(out, "user_agent", agent);
        key(out, "details");
        self.details(out);
        member(out, "hostname", &self.tenant.host);
        key(out, "user_id");
        if kind.shape == Shape::UnknownUser {
            raw(out, "\"\"");
        } else {
            self.user_id(out);
        }
        key(out, "user_name");
        self.user_name(out);
        if event.connection != NONE && kind.shape != Shape::UserToken {
            member(out, "strategy", CONNECTIONS[connection].strategy);
            member(out, "strategy_type", CONNECTIONS[connection].strategy_type);
        }
        self.organization(out);
        if self.exchanges_token() || kind.shape == Shape::SilentFailed {
            key(out, "audience");
            raw(out, "\"https://api.");
            raw(out, &self.tenant.name);
            raw(out, ".example/\"");
            self.scope(out, USER_SCOPES[(self.pick(2) % 3) as usize].split(' '));
        }
        raw(out, ",\"auth0_client\":{\"name\":\"auth0-spa-js\",\"version\":\"2.1.3\",\"env\":{\"node\":\"20.17.0\"}}");
        self.fingerprints(out);
        self.references(out);
        if matches!(kind.shape, Shape::Login | Shape::SingleSignOn) {
            self.location(out);
        } else if self.pick(3).is_multiple_of(8) {
            raw(out, ",\"location_info\":{}");
        }
        self.is_mobile(out, mobile);
    }

    fn exchanges_token(&self) -> bool {
        matches!(self.event.kind().shape, Shape::Code | Shape::Refresh | Shape::UserToken | Shape::TokenFailed)
    }

    /// An event of a client that is no user.
    fn machine(&self, out: &mut Vec<u8>) {
        let event = self.event;
        member(out, "connection_id", "");
        let machine = (event.actor != NONE).then(|| &self.tenant.machines[usize::from(event.actor)]);
        let refused = event.kind().shape == Shape::TokenRefused;
        let Some(machine) = machine else {
            member(out, "client_id", &client_id(event.seed));
            member(out, "client_name", "");
            key(out, "ip");
            self.stranger(out);
            member(out, "user_agent", "masscan/1.3 \"hello\"");
            raw(out, ",\"details\":{\"client_authentoication_error\":\"Unknown client\"}");
            member(out, "hostname", &self.tenant.host);
            raw(out, ",\"user_id\":\"\",\"user_name\":\"\"");
            key(out, "audience");
            raw(out, "\"https://guess-");
            number(out, self.pick(4) % 1_000);
            raw(out, ".example/\"");
            self.fingerprints(out);
            self.is_mobile(out, false);
            return;
        };
        let address = &machine.addresses[usize::from(event.address)];
        member(out, "client_id", &machine.client_id);
        member(out, "client_name", machine.role.name());
        member(out, "ip", address);
        member(out, "client_ip", address);
        member(out, "user_agent", machine.user_agent);
        if refused {
            raw(out, ",\"details\":{\"client_authentoication_error\":\"Invalid client secret, or \\\"none\\\"\"}");
        } else if !self.pick(5).is_multiple_of(4) {
            // Some tenants have details here, and some do not.
            raw(out, ",\"details\":{\"actions\":{\"executions\":[");
            self.executions(out, 2);
            raw(out, "]},\"access_token_jti\":\"");
            uuid(out, self.pick(6));
            raw(out, "\"}");
        }
        member(out, "hostname", &self.tenant.host);
        raw(out, ",\"user_id\":\"\",\"user_name\":\"\"");
        member(out, "audience", &machine.audience);
        self.organization(out);
        if !machine.scopes.is_empty() {
            // The order of scopes means nothing, and callers do not agree on it.
            if self.pick(7).is_multiple_of(2) {
                self.scope(out, machine.scopes.iter().copied());
            } else {
                self.scope(out, machine.scopes.iter().rev().copied());
            }
        } else if self.pick(7).is_multiple_of(3) {
            raw(out, ",\"scope\":null");
        }
        raw(out, ",\"auth0_client\":{\"name\":\"auth0-python\",\"version\":\"4.7.2\",\"env\":{\"python\":\"3.12.6\"}}");
        self.fingerprints(out);
        self.references(out);
        if self.pick(8).is_multiple_of(4) {
            raw(out, ",\"location_info\":{}");
        }
        self.is_mobile(out, false);
    }

    /// A call of the Management API, with the whole request and response.
    fn management(&self, out: &mut Vec<u8>) {
        member(out, "client_id", &client_id(self.tenant.seed));
        member(out, "client_name", "Dashboard \"Manage\"");
        key(out, "ip");
        self.address(out);
        let (agent, _) = self.agent();
        member(out, "user_agent", agent);
        raw(out, ",\"details\":{\"request\":{\"method\":\"patch\",\"path\":\"/api/v2/users/");
        let id_from = out.len();
        self.user_id(out);
        // The quotes of the id are not wanted inside a path.
        out.remove(id_from);
        out.pop();
        raw(out, "\",\"query\":{},\"userAgent\":");
        string(out, agent);
        raw(out, ",\"channel\":\"https://manage.auth0.com/\",\"ip\":");
        self.address(out);
        raw(
            out,
            ",\"auth\":{\"user\":{\"user_id\":\"google-oauth2|100000000000000000001\",\"name\":\"Admin \\\"A\\\"\",\"email\":\"admin@",
        );
        raw(out, &self.tenant.name);
        raw(out, ".example\"},\"strategy\":\"jwt\",\"credentials\":{\"jti\":\"");
        hex(out, self.pick(9), 16);
        hex(out, self.pick(10), 16);
        raw(
            out,
            "\",\"scopes\":[\"create:client_grants\",\"create:clients\",\"create:connections\",\"create:users\",\"delete:clients\",\"delete:users\",\"read:client_grants\",\"read:clients\",\"read:connections\",\"read:logs\",\"read:users\",\"read:user_idp_tokens\",\"update:clients\",\"update:connections\",\"update:tenant_settings\",\"update:users\"]}},\"body\":",
        );
        self.profile(out, "*****");
        raw(
            out,
            "},\"response\":{\"statusCode\":200,\"body\":{\"created_at\":\"2024-02-29T23:59:59.999Z\",\"updated_at\":\"",
        );
        date(out, self.event.date, true);
        raw(out, "\",\"user_id\":");
        self.user_id(out);
        raw(out, ",\"identities\":[{\"connection\":");
        string(out, CONNECTIONS[self.person.connection].name);
        raw(out, ",\"provider\":");
        string(out, CONNECTIONS[self.person.connection].strategy);
        raw(out, ",\"isSocial\":false}],\"last_ip\":");
        self.address(out);
        raw(out, ",\"logins_count\":");
        number(out, self.pick(11) % 900);
        raw(out, ",\"profile\":");
        self.profile(out, "[REDACTED]");
        raw(
            out,
            ",\"branding\":null,\"app_metadata\":{\"roles\":[\"buyer\",\"approver\"],\"plan\":\"gold\",\"limits\":{\"day\":10.5,\"month\":-1,\"year\":1e3},\"flags\":[true,false,null,{}],\"note\":\"line one\\nline two\\ttabbed \\u2028 \\/ end\"}}}}",
        );
        raw(out, ",\"user_id\":\"google-oauth2|100000000000000000001\"");
        self.references(out);
        raw(out, ",\"auth0_client\":[\"manage\",{\"name\":\"manage\",\"version\":\"1.1\"}]");
        self.is_mobile(out, false);
    }

    fn details(&self, out: &mut Vec<u8>) {
        let event = self.event;
        match event.kind().shape {
            Shape::Login | Shape::CrossOrigin => {
                raw(out, "{\"prompts\":[");
                self.prompt(out, "prompt-authenticate", true);
                raw(out, ",");
                self.prompt(out, "login", false);
                raw(out, "]");
                self.login_tail(out);
                self.risk(out);
                raw(out, ",\"actions\":{\"executions\":[");
                self.executions(out, 2);
                raw(out, "]},\"stats\":{\"loginsCount\":");
                // Null means unknown, which is not zero.
                if self.pick(12).is_multiple_of(10) {
                    raw(out, "null");
                } else {
                    number(out, 1 + self.pick(12) % 400);
                }
                raw(out, "}}");
            }
            Shape::SingleSignOn | Shape::Silent => {
                raw(out, "{\"prompts\":[]");
                self.login_tail(out);
                self.risk(out);
                raw(out, ",\"session\":{\"cookie\":{\"mode\":\"persistent\"}},\"actions\":{\"executions\":[");
                self.executions(out, 1);
                raw(out, "]}}");
            }
            Shape::Code => {
                raw(out, "{\"code\":\"***************************");
                hex(out, self.pick(13), 3);
                raw(out, "\",\"access_token_jti\":\"");
                uuid(out, self.pick(14));
                raw(out, "\",\"refresh_token\":{\"access\":\"offline\",\"session_id\":\"");
                self.session(out);
                raw(out, "\"},\"requested_client_id\":");
                string(out, &self.tenant.applications[usize::from(event.actor)]);
                raw(out, "}");
            }
            Shape::Refresh => {
                raw(out, "{\"familyId\":\"");
                hex(out, self.pick(15), 16);
                raw(out, "\",\"tokenCounter\":");
                number(out, 1 + self.pick(16) % 60);
                raw(
                    out,
                    ",\"requested_scope\":\"openid profile email\",\"refresh_token\":{\"access\":\"offline\",\"session_id\":\"",
                );
                self.session(out);
                raw(out, "\"},\"actions\":{\"executions\":[");
                self.executions(out, 1);
                raw(out, "]},\"access_token_jti\":\"");
                uuid(out, self.pick(14));
                raw(out, "\"}");
            }
            Shape::UserToken => {
                raw(out, "{\"actions\":{\"executions\":[");
                self.executions(out, 1);
                raw(out, "]},\"access_token_jti\":\"");
                uuid(out, self.pick(14));
                raw(out, "\"}");
            }
            Shape::Signup | Shape::SignupFailed => {
                raw(out, "{\"body\":");
                self.profile(out, "*****");
                self.times(out);
                raw(out, ",\"grant_type\":\"signup\"}");
            }
            Shape::LoginFailed | Shape::UnknownUser => {
                raw(out, "{\"error\":{\"message\":\"Wrong email or password.\",\"type\":\"s\"},\"transaction_id\":\"");
                hex(out, self.pick(17), 16);
                raw(out, "\",\"consoleOut\":[]}");
            }
            Shape::OauthFailed => {
                raw(
                    out,
                    "{\"error\":{\"message\":\"User did not authorize the request: \\\"type\\\":\\\"seccft\\\"\",\"oauthError\":\"access_denied\",\"type\":\"oauth-authorization\",\"payload\":{\"attempt\":1,\"authorized\":[\"openid\"],\"clientID\":",
                );
                string(out, &self.tenant.applications[usize::from(event.actor)]);
                raw(
                    out,
                    ",\"code\":\"unauthorized\",\"message\":\"denied\",\"name\":\"Error\",\"status\":\"403\"}},\"qs\":{\"response_type\":\"code\",\"state\":\"",
                );
                hex(out, self.pick(18), 16);
                raw(out, "\",\"user_id\":\"not|this\",\"date\":\"2001-01-01T00:00:00.000Z\"}");
                self.login_tail(out);
                self.risk(out);
                raw(out, "}");
            }
            Shape::TokenFailed => {
                raw(out, "{\"code\":null,\"failure_reason\":\"expired\",\"error\":\"invalid_grant\"}")
            }
            Shape::Logout => {
                raw(out, "{\"allowed_logout_url\":[\"https://www.");
                raw(out, &self.tenant.name);
                raw(out, ".example/\"],\"return_to\":\"https:\\/\\/www.");
                raw(out, &self.tenant.name);
                raw(out, ".example\\/bye?a=1&b=2\",\"protocol\":\"oidc\",\"initiated_by\":\"rp\",\"session_id\":\"");
                self.session(out);
                raw(out, "\"}");
            }
            Shape::Mfa => {
                raw(
                    out,
                    "{\"request\":{\"method\":\"POST\",\"path\":\"/appliance-mfa/api/start-flow\",\"query\":{},\"ip\":",
                );
                self.address(out);
                raw(out, ",\"userAgent\":");
                string(out, self.agent().0);
                raw(
                    out,
                    ",\"auth\":{\"scopes\":[\"enroll\",\"authenticate\"],\"strategy\":\"jwt_mfa_transaction_token\",\"subject\":",
                );
                self.user_id(out);
                raw(out, "}},\"response\":{\"statusCode\":204,\"body\":{\"type\":\"push\",\"enrollment_id\":\"dev_");
                hex(out, self.person.hash, 16);
                raw(out, "\"}}}");
            }
            Shape::ApiLimit => raw(
                out,
                "{\"limit\":{\"bucket\":\"/oauth/token\",\"size\":10,\"global\":false},\"request\":{\"method\":\"POST\",\"path\":\"/oauth/token\"},\"response\":\"429\"}",
            ),
            Shape::Account => {
                raw(out, "{\"email\":");
                self.user_name(out);
                raw(out, ",\"title\":\"Your account\",\"body\":{\"tenant\":");
                string(out, &self.tenant.name);
                raw(out, ",\"ticket\":\"*****\"},\"query\":{\"user_id\":");
                self.user_id(out);
                raw(out, ",\"includeEmailInRedirect\":false}}");
            }
            Shape::Notice => raw(
                out,
                "{\"feature\":{\"id\":\"legacy_tokeninfo\",\"name\":\"Legacy Tokeninfo endpoint\",\"description\":\"On or after the end of life date this stops.\",\"documentation\":\"https://auth0.com/docs\"},\"method\":\"GET\",\"path\":\"/tokeninfo\"}",
            ),
            Shape::SilentFailed
            | Shape::Limit
            | Shape::Unknown
            | Shape::Management
            | Shape::TokenIssued
            | Shape::TokenRefused => {
                raw(out, "{\"session\":{\"cookie\":{\"mode\":\"non-persistent\"}}}");
            }
        }
    }

    fn prompt(&self, out: &mut Vec<u8>, name: &str, first: bool) {
        raw(out, "{\"name\":\"");
        raw(out, name);
        raw(out, "\"");
        self.times(out);
        let connection = self.person.connection;
        if first {
            member(out, "connection", CONNECTIONS[connection].name);
            member(out, "connection_id", &self.tenant.connection_ids[connection]);
            member(out, "strategy", CONNECTIONS[connection].strategy);
            // The identity at the provider is a string or a number.
            key(out, "identity");
            if self.pick(19).is_multiple_of(2) {
                number(out, self.person.hash >> 12);
            } else {
                out.push(b'"');
                hex(out, self.person.hash, 16);
                out.push(b'"');
            }
            raw(out, ",\"stats\":{\"loginsCount\":");
            number(out, 1 + self.pick(12) % 400);
            raw(out, "}");
        } else {
            raw(out, ",\"flow\":\"universal-login\",\"timers\":{\"rules\":5},\"grantInfo\":{\"id\":\"");
            hex(out, self.pick(20), 16);
            raw(out, "\",\"audience\":\"https://");
            raw(out, &self.tenant.host);
            raw(out, "/userinfo\",\"scope\":\"openid profile email\",\"expiration\":null}");
        }
        raw(out, ",\"requiredCaptcha\":false,\"session_id\":\"");
        self.session(out);
        raw(out, "\",\"user_id\":");
        self.user_id(out);
        raw(out, ",\"user_name\":");
        self.user_name(out);
        raw(out, "}");
    }

    /// Begin, end and duration, of which the last may be null.
    fn times(&self, out: &mut Vec<u8>) {
        let elapsed = 200 + self.pick(21) % 30_000;
        let end = self.event.date.unsigned_abs();
        raw(out, ",\"initiatedAt\":");
        number(out, end.saturating_sub(elapsed));
        raw(out, ",\"completedAt\":");
        number(out, end);
        raw(out, ",\"elapsedTime\":");
        if self.pick(22).is_multiple_of(8) {
            raw(out, "null");
        } else {
            number(out, elapsed);
        }
    }

    fn login_tail(&self, out: &mut Vec<u8>) {
        self.times(out);
        raw(out, ",\"session_id\":\"");
        self.session(out);
        raw(out, "\"");
    }

    fn risk(&self, out: &mut Vec<u8>) {
        if self.pick(23).is_multiple_of(6) {
            raw(out, ",\"riskAssessment\":null");
            return;
        }
        raw(
            out,
            ",\"riskAssessment\":{\"confidence\":\"high\",\"version\":\"1\",\"assessments\":{\"UntrustedIP\":{\"confidence\":\"high\",\"code\":\"not_found_on_deny_list\",\"details\":{\"ip\":",
        );
        self.address(out);
        raw(
            out,
            ",\"matches\":\"0\",\"source\":\"none\"}},\"NewDevice\":{\"confidence\":\"high\",\"code\":\"match\",\"details\":{\"device\":\"known\",\"useragent\":\"known\"}},\"ImpossibleTravel\":{\"confidence\":\"high\",\"code\":\"minimal_travel_from_last_login\"}}}",
        );
    }

    fn executions(&self, out: &mut Vec<u8>, count: u64) {
        for i in 0..count {
            raw(out, if i == 0 { "\"" } else { ",\"" });
            hex(out, self.pick(24 + i), 16);
            hex(out, self.pick(28 + i), 16);
            digits(out, self.event.ingested.unsigned_abs(), 13);
            out.push(b'"');
        }
    }

    fn session(&self, out: &mut Vec<u8>) {
        hex(out, self.pick(32), 16);
        hex(out, self.pick(33), 16);
    }

    fn references(&self, out: &mut Vec<u8>) {
        raw(out, ",\"references\":{\"correlation_id\":\"");
        uuid(out, self.pick(34));
        raw(out, "\",\"trace_id\":\"");
        hex(out, self.pick(35), 16);
        hex(out, self.pick(36), 16);
        raw(out, "\"}");
    }

    fn fingerprints(&self, out: &mut Vec<u8>) {
        raw(out, ",\"security_context\":{\"ja3\":\"");
        hex(out, mix(self.person.hash), 16);
        hex(out, mix(!self.person.hash), 16);
        raw(out, "\",\"ja4\":\"t13d1516h2_8daaf6152771_");
        hex(out, self.person.hash, 12);
        raw(out, "\"}");
    }

    fn location(&self, out: &mut Vec<u8>) {
        const KEYS: [&str; 8] = [
            "country_code",
            "country_code3",
            "country_name",
            "city_name",
            "latitude",
            "longitude",
            "time_zone",
            "continent_code",
        ];
        for (i, (name, value)) in KEYS.iter().zip(self.place).enumerate() {
            raw(out, if i == 0 { ",\"location_info\":{\"" } else { ",\"" });
            raw(out, name);
            raw(out, "\":");
            string(out, value);
        }
        raw(out, "}");
    }

    fn organization(&self, out: &mut Vec<u8>) {
        if self.event.organization == NONE {
            return;
        }
        let (id, name) = &self.tenant.organizations[usize::from(self.event.organization)];
        member(out, "organization_id", id);
        // The name may be empty.
        let named = !self.pick(37).is_multiple_of(8);
        member(out, "organization_name", if named { name } else { "" });
    }

    /// Scopes are a string or an array.
    fn scope<'s>(&self, out: &mut Vec<u8>, scopes: impl Iterator<Item = &'s str>) {
        key(out, "scope");
        let array = self.pick(38).is_multiple_of(3);
        let (open, between, close) = if array { ("[\"", "\",\"", "\"]") } else { ("\"", " ", "\"") };
        for (i, scope) in scopes.enumerate() {
            raw(out, if i == 0 { open } else { between });
            raw(out, scope);
        }
        raw(out, close);
    }

    /// Auth0's schema and Auth0's events do not agree on the name.
    fn is_mobile(&self, out: &mut Vec<u8>, mobile: bool) {
        let name = if self.pick(39).is_multiple_of(16) { "is_mobile" } else { "isMobile" };
        key(out, name);
        raw(out, if mobile { "true" } else { "false" });
    }

    fn agent(&self) -> (&'static str, bool) {
        // Two programs a user.
        let which = mix(self.person.hash ^ (self.pick(40) & 1));
        USER_AGENTS[(which % USER_AGENTS.len() as u64) as usize]
    }

    /// A user's address: a few each, some of them of the longer kind.
    fn address(&self, out: &mut Vec<u8>) {
        let hash = mix(self.person.hash ^ (2 + (self.pick(41) & 3)));
        if hash.is_multiple_of(8) {
            raw(out, "\"2001:db8:");
            hex(out, hash >> 8, 4);
            raw(out, "::");
            hex(out, (hash >> 24) | 0x1000, 4);
            raw(out, "\"");
            return;
        }
        dotted(out, 81 + hash % 8, hash);
    }

    fn stranger(&self, out: &mut Vec<u8>) {
        dotted(out, 45, self.pick(42));
    }

    fn user_id(&self, out: &mut Vec<u8>) {
        let hash = self.person.hash;
        match CONNECTIONS[self.person.connection].strategy {
            "google-oauth2" => {
                raw(out, "\"google-oauth2|1");
                digits(out, hash, 20);
            }
            "github" => {
                raw(out, "\"github|");
                number(out, hash);
            }
            "apple" => {
                raw(out, "\"apple|001234.");
                hex(out, hash, 16);
                hex(out, mix(hash), 16);
                raw(out, ".0815");
            }
            "samlp" => {
                raw(out, "\"samlp|acme-saml|");
                self.mailbox(out);
                raw(out, "@acme.example");
            }
            "waad" => {
                raw(out, "\"waad|");
                hex(out, hash, 16);
                hex(out, mix(hash), 16);
            }
            strategy => {
                out.push(b'"');
                raw(out, strategy);
                out.push(b'|');
                hex(out, hash, 16);
                hex(out, mix(hash), 8);
            }
        }
        out.push(b'"');
    }

    /// The part of an address before the `@`, different for each user.
    fn mailbox(&self, out: &mut Vec<u8>) {
        raw(out, NAMES[(self.person.hash % 16) as usize].2);
        out.push(b'.');
        number(out, u64::from(self.event.user));
    }

    /// An e-mail, a phone number, or a name with all that needs escapes.
    fn user_name(&self, out: &mut Vec<u8>) {
        if CONNECTIONS[self.person.connection].strategy == "sms" {
            raw(out, "\"+1555");
            digits(out, u64::from(self.event.user), 7);
            raw(out, "\"");
            return;
        }
        if (self.person.hash >> 8).is_multiple_of(8) {
            let (first, last, _) = NAMES[(self.person.hash % 16) as usize];
            out.push(b'"');
            escaped(out, first.as_bytes());
            out.push(b' ');
            escaped(out, last.as_bytes());
            out.push(b'"');
            return;
        }
        out.push(b'"');
        self.mailbox(out);
        raw(out, "@mail.example\"");
    }

    /// A whole user as the Management API and a signup show him.
    fn profile(&self, out: &mut Vec<u8>, secret: &str) {
        let (first, last, _) = NAMES[(self.person.hash % 16) as usize];
        raw(out, "{\"connection\":");
        string(out, CONNECTIONS[self.person.connection].name);
        member(out, "given_name", first);
        key(out, "family_name");
        ascii_string(out, last);
        raw(out, ",\"email\":\"");
        self.mailbox(out);
        raw(out, "@mail.example\",\"email_verified\":true,\"blocked\":false");
        member(out, "password", secret);
        member(out, "tenant", &self.tenant.name);
        member(out, "picture", "https://s.gravatar.com/avatar/0?s=480&r=pg");
        raw(
            out,
            ",\"user_metadata\":{\"language\":\"de\",\"theme\":\"dark\",\"newsletter\":true,\"addresses\":[{\"street\":\"Straße 1\",\"zip\":\"01067\"},{\"street\":\"\\\"Elm\\\" St.\",\"zip\":\"90210\"}]}}",
        );
    }
}

fn dotted(out: &mut Vec<u8>, first: u64, rest: u64) {
    out.push(b'"');
    number(out, first);
    for shift in [8, 16, 24] {
        out.push(b'.');
        number(out, (rest >> shift) & 0xff);
    }
    out.push(b'"');
}

//! URLs that applications may be called at: callbacks, logout URLs, origins. A check for each kind and each way of being
//! wrong, since each has its own severity and its own line in a baseline.

use std::net::IpAddr;

use super::super::tenant::{Known, Texts, Thing};
use super::super::url::{shown, split};
use super::applications::clients;
use super::{Area, Check, Judged, Outcome, Scene, Severity, tenant_thing};

const SETTINGS: &str = "https://auth0.com/docs/get-started/applications/application-settings";
const REQUIRED_FIXES: &str =
    "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-check-required-fixes";
const WILDCARDS: &str = "https://auth0.com/docs/get-started/applications/wildcards-for-subdomains";

const CALLBACKS: &str = "clients: callbacks";
const LOGOUTS: &str = "clients and tenant: allowed_logout_urls";
const ORIGINS: &str = "clients: allowed_origins";
const WEB_ORIGINS: &str = "clients: web_origins";

const LOCALHOST: &str = "any program on a user's computer may listen there and take what is sent";
const HTTP: &str = "whoever is on the way reads and changes what is sent";
const WILDCARD: &str = "one sub-domain that somebody else gets hold of is enough";
const PLACEHOLDER: &str = "it was copied from an example: the domain is somebody else's, or nobody's yet";
const SHARED: &str = "the name is free for anybody once it is given up there, and with it the logins";

const SCHEME: &str = "any program on the device may claim the scheme, and gets the code in its place";

const NO_LOCALHOST: &str = "remove it; develop in a tenant of its own";
const NO_HTTP: &str = "use https";
const NO_WILDCARD: &str = "list the hosts, or use {organization_name} for organizations";
const NO_PLACEHOLDER: &str = "remove it, or write the real host";
const NO_SHARED: &str = "make sure the name is still yours, or move to a domain of your own";

const NO_SCHEME: &str = "use an https link that the device verifies (App Links, Universal Links)";

const fn check(
    id: &'static str,
    severity: Severity,
    title: &'static str,
    looks_at: &'static str,
    (why, fix): (&'static str, &'static str),
    docs: &'static str,
    judge: fn(&Scene<'_>, &mut Outcome) -> Judged,
) -> Check {
    Check { id, area: Area::Origins, severity, title, looks_at, why, fix, docs, judge }
}

use Kind::{Callback, Logout, Origin, WebOrigin};
use Severity::{BestPractice, Recommended, Required};

#[rustfmt::skip]
pub const CHECKS: &[Check] = &[
    check("client-callback-localhost", Required, "A callback URL leads to this computer", CALLBACKS, (LOCALHOST, NO_LOCALHOST), REQUIRED_FIXES, |scene, out| each(scene, out, Callback, is_localhost)),
    check("client-callback-http", Required, "A callback URL is not encrypted", CALLBACKS, (HTTP, NO_HTTP), SETTINGS, |scene, out| each(scene, out, Callback, is_plain)),
    check("client-callback-wildcard", Required, "A callback URL has a wildcard", CALLBACKS, (WILDCARD, NO_WILDCARD), WILDCARDS, |scene, out| each(scene, out, Callback, is_wild)),
    check("client-callback-placeholder", Required, "A callback URL is an example's", CALLBACKS, (PLACEHOLDER, NO_PLACEHOLDER), SETTINGS, |scene, out| each(scene, out, Callback, is_example)),
    check("client-callback-shared-host", Recommended, "A callback URL is at a shared host", CALLBACKS, (SHARED, NO_SHARED), SETTINGS, |scene, out| each(scene, out, Callback, is_shared)),
    check("client-callback-scheme", BestPractice, "A callback URL has a scheme of its own", CALLBACKS, (SCHEME, NO_SCHEME), SETTINGS, |scene, out| each(scene, out, Callback, is_own_scheme)),
    check("client-logout-localhost", BestPractice, "A logout URL leads to this computer", LOGOUTS, (LOCALHOST, NO_LOCALHOST), SETTINGS, |scene, out| each(scene, out, Logout, is_localhost)),
    check("client-logout-http", Recommended, "A logout URL is not encrypted", LOGOUTS, (HTTP, NO_HTTP), SETTINGS, |scene, out| each(scene, out, Logout, is_plain)),
    check("client-logout-wildcard", BestPractice, "A logout URL has a wildcard", LOGOUTS, (WILDCARD, NO_WILDCARD), WILDCARDS, |scene, out| each(scene, out, Logout, is_wild)),
    check("client-logout-placeholder", Recommended, "A logout URL is an example's", LOGOUTS, (PLACEHOLDER, NO_PLACEHOLDER), SETTINGS, |scene, out| each(scene, out, Logout, is_example)),
    check("client-logout-shared-host", BestPractice, "A logout URL is at a shared host", LOGOUTS, (SHARED, NO_SHARED), SETTINGS, |scene, out| each(scene, out, Logout, is_shared)),
    check("client-origin-localhost", Required, "An allowed origin is this computer", ORIGINS, (LOCALHOST, NO_LOCALHOST), REQUIRED_FIXES, |scene, out| each(scene, out, Origin, is_localhost)),
    check("client-origin-http", Required, "An allowed origin is not encrypted", ORIGINS, (HTTP, NO_HTTP), SETTINGS, |scene, out| each(scene, out, Origin, is_plain)),
    check("client-origin-wildcard", Recommended, "An allowed origin has a wildcard", ORIGINS, (WILDCARD, NO_WILDCARD), WILDCARDS, |scene, out| each(scene, out, Origin, is_wild)),
    check("client-origin-placeholder", Required, "An allowed origin is an example's", ORIGINS, (PLACEHOLDER, NO_PLACEHOLDER), SETTINGS, |scene, out| each(scene, out, Origin, is_example)),
    check("client-origin-shared-host", Recommended, "An allowed origin is at a shared host", ORIGINS, (SHARED, NO_SHARED), SETTINGS, |scene, out| each(scene, out, Origin, is_shared)),
    check("client-web-origin-localhost", Required, "A web origin is this computer", WEB_ORIGINS, (LOCALHOST, NO_LOCALHOST), REQUIRED_FIXES, |scene, out| each(scene, out, WebOrigin, is_localhost)),
    check("client-web-origin-http", Required, "A web origin is not encrypted", WEB_ORIGINS, (HTTP, NO_HTTP), SETTINGS, |scene, out| each(scene, out, WebOrigin, is_plain)),
    check("client-web-origin-wildcard", Recommended, "A web origin has a wildcard", WEB_ORIGINS, (WILDCARD, NO_WILDCARD), WILDCARDS, |scene, out| each(scene, out, WebOrigin, is_wild)),
    check("client-web-origin-placeholder", Required, "A web origin is an example's", WEB_ORIGINS, (PLACEHOLDER, NO_PLACEHOLDER), SETTINGS, |scene, out| each(scene, out, WebOrigin, is_example)),
    check("client-web-origin-shared-host", Recommended, "A web origin is at a shared host", WEB_ORIGINS, (SHARED, NO_SHARED), SETTINGS, |scene, out| each(scene, out, WebOrigin, is_shared)),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Callback,
    Logout,
    Origin,
    WebOrigin,
}

fn each(scene: &Scene<'_>, out: &mut Outcome, kind: Kind, is_wrong: fn(&Url) -> bool) -> Judged {
    for client in clients(scene)? {
        let urls = match kind {
            Callback => &client.callbacks,
            Logout => &client.logout_urls,
            Origin => &client.origins,
            WebOrigin => &client.web_origins,
        };
        among(&client.thing, urls, out, is_wrong);
    }
    if kind == Logout {
        match &scene.tenant.settings {
            Ok(settings) => among(&settings.thing, &settings.logout_urls, out, is_wrong),
            Err(why) => out.unjudged(
                &tenant_thing(scene, "settings"),
                "allowed_logout_urls",
                why.map(|why| format!("not known: {why}")),
            ),
        }
    }
    Ok(())
}

fn among(thing: &Thing, urls: &Texts, out: &mut Outcome, is_wrong: fn(&Url) -> bool) {
    if let Known::Unknown(what) = &urls.value {
        out.unjudged(thing, urls.key, what);
    }
    for (index, element) in urls.known().into_iter().flatten().enumerate() {
        match element {
            Known::Is(text) if is_wrong(&Url::of(text)) => {
                out.place(thing, thing.place.at(urls.key).item(index), shown(text));
            }
            Known::Unknown(what) => out.unjudged(thing, &format!("{}[{index}]", urls.key), what),
            _ => {}
        }
    }
}

/// As Auth0 takes it: not every one would be parsed by a strict reader.
struct Url {
    scheme: String,
    host: String,
}

impl Url {
    fn of(text: &str) -> Self {
        let text = text.trim().replace('\\', "/");
        let (scheme, authority, _) = split(&text);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let name = match host.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
            Some((address, _)) => address,
            None => host.split(':').next().unwrap_or(host),
        };
        // Such as com.acme.app:/callback, without an authority.
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let own = text.split_once(":/").filter(|(scheme, _)| scheme.chars().all(is_scheme));
        let scheme = if scheme.is_empty() { own.map_or("", |(scheme, _)| scheme) } else { scheme };
        Self { scheme: scheme.to_owned(), host: name.trim_end_matches('.').to_ascii_lowercase() }
    }

    /// Reached by the network, or without a scheme, as Auth0 takes origins too.
    fn is_web(&self) -> bool {
        ["", "http", "https"].iter().any(|scheme| self.scheme.eq_ignore_ascii_case(scheme))
    }

    /// As browsers read it: 127.1, 0x7f000001 and 2130706433 are 127.0.0.1 (WHATWG URL, IPv4 parser).
    fn address(&self) -> Option<IpAddr> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Some(address.to_canonical());
        }
        let is_number = self.host.bytes().all(|byte| byte.is_ascii_hexdigit() || b".x".contains(&byte));
        let url = reqwest::Url::parse(&format!("http://{}/", self.host)).ok().filter(|_| is_number)?;
        url.host_str()?.parse().ok()
    }

    fn ends_in(&self, domain: &str) -> bool {
        self.host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }
}

/// Names of others for 127.0.0.1.
const LOCAL: [&str; 3] = ["localtest.me", "lvh.me", "vcap.me"];

fn is_localhost(url: &Url) -> bool {
    // `capacitor://localhost` is where a mobile application's own pages are.
    url.is_web()
        && (url.ends_in("localhost")
            || LOCAL.iter().any(|name| url.ends_in(name))
            || url.address().is_some_and(is_here))
        || url.scheme.eq_ignore_ascii_case("file")
}

fn is_here(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified()
}

/// Not encrypted, and not this computer, which has a check of its own.
fn is_plain(url: &Url) -> bool {
    url.scheme.eq_ignore_ascii_case("http") && !is_localhost(url)
}

/// Not the network's, and not a file's, which counts as this computer.
fn is_own_scheme(url: &Url) -> bool {
    !url.is_web() && !url.scheme.eq_ignore_ascii_case("file")
}

fn is_wild(url: &Url) -> bool {
    url.host.contains('*')
}

/// Domains of documentation and of tests (RFC 2606), and names that templates leave to be filled in.
fn is_example(url: &Url) -> bool {
    const EXAMPLES: [&str; 10] = [
        "example.com",
        "example.org",
        "example.net",
        "yourdomain.com",
        "your-domain.com",
        "mydomain.com",
        "domain.com",
        "yourapp.com",
        "myapp.com",
        "yourcompany.com",
    ];
    // What templates fill in, but for what Auth0 itself does.
    const PARTS: [&str; 7] = ["your_", "${", "{{", "{your", "<", "your-app", "changeme"];
    const ENDS: [&str; 3] = ["example", "test", "invalid"];
    let is_reserved = || url.is_web() && ENDS.iter().any(|end| url.ends_in(end));
    EXAMPLES.iter().any(|domain| url.ends_in(domain))
        || is_reserved()
        || url.host == "todo"
        || PARTS.iter().any(|part| url.host.contains(part))
}

/// Hosts that give a sub-domain to whoever comes first.
fn is_shared(url: &Url) -> bool {
    const SHARED: [&str; 29] = [
        "herokuapp.com",
        "vercel.app",
        "netlify.app",
        "github.io",
        "gitlab.io",
        "pages.dev",
        "workers.dev",
        "onrender.com",
        "fly.dev",
        "web.app",
        "firebaseapp.com",
        "azurewebsites.net",
        "cloudapp.net",
        "cloudfront.net",
        "amazonaws.com",
        "surge.sh",
        "glitch.me",
        "ngrok.io",
        "ngrok-free.app",
        "ngrok.app",
        "ngrok.dev",
        "trycloudflare.com",
        "run.app",
        "azurestaticapps.net",
        "trafficmanager.net",
        "up.railway.app",
        "replit.app",
        "replit.dev",
        "loca.lt",
    ];
    SHARED.iter().any(|domain| url.ends_in(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_apart_by_their_hosts() {
        let is = |judge: fn(&Url) -> bool, text: &str| judge(&Url::of(text));
        for text in [
            "http://localhost:3000/cb",
            "https://127.0.0.1",
            "http://[::1]:80/",
            "https://app.localhost/",
            "http://0.0.0.0:1",
            "http://127.1:8080/cb",
            "http://0x7f000001",
            "http://2130706433/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::]:3000",
            "127.0.0.1:3000",
            "//localhost/",
            "//[::1]:3000",
            "http:\\\\localhost\\cb",
            "file:///index.html",
        ] {
            assert!(is(is_localhost, text) && !is(is_plain, text), "{text}");
        }
        for text in [
            "https://localhost.example.org",
            "https://mylocalhost.io",
            "com.acme.app://callback",
            "https://a.io/?next=http://localhost",
            "capacitor://localhost",
            "ionic://localhost/callback",
            "/localhost/",
            "https://128.1/",
            "https://cafe.io",
        ] {
            assert!(!is(is_localhost, text), "{text}");
        }
        assert!(is(is_plain, "HTTP://a.io/x") && !is(is_plain, "https://a.io") && !is(is_plain, "com.acme://x"));
        for (text, is_own) in [
            ("com.acme.app://callback", true),
            ("com.acme.app:/callback", true),
            ("https://a.io/cb", false),
            ("a.io:443/cb", false),
            ("a.io/cb?next=x:/y", false),
            ("file:///x", false),
        ] {
            assert_eq!(is(is_own_scheme, text), is_own, "{text}");
        }
        assert!(is(is_wild, "https://*.a.io/cb") && !is(is_wild, "https://{organization_name}.a.io/*"));
        assert!(is(is_example, "https://www.example.com/") && !is(is_example, "https://notexample.com/"));
        assert!(
            is(is_example, "https://app.test/cb")
                && is(is_example, "https://example.com (in part)")
                && is(is_example, "https://a.example")
                && is(is_example, "https://x.invalid")
        );
        assert!(
            !is(is_example, "https://test.io/")
                && !is(is_example, "com.acme://example")
                && !is(is_example, "https://latest/")
        );
        for text in
            ["https://${HOST}/cb", "https://<host>/cb", "https://{{host}}/cb", "https://TODO/cb", "https://yourapp.com"]
        {
            assert!(is(is_example, text), "{text}");
        }
        assert!(!is(is_example, "https://{organization_name}.a.io/cb") && !is(is_example, "https://todo.acme.io/cb"));
        assert!(is(is_localhost, "https://localtest.me/cb") && is(is_localhost, "http://a.lvh.me:3000"));
        assert!(is(is_shared, "https://a.vercel.app") && !is(is_shared, "https://vercel.app.a.io"));
    }
}

//! Exports as they are found: both layouts, placeholders, and what is none.

use super::*;

#[test]
fn both_layouts_of_an_export_say_the_same() {
    assert_eq!(
        findings(&export::read(&sample("example-directory")).expect("the directory layout")),
        findings(&export::read(&sample("example-yaml/tenant.yaml")).expect("the YAML layout")),
    );
    // And with each fault there is.
    for (id, edits, _) in faults() {
        let mut tenant = good();
        edits.iter().for_each(|(pointer, value)| edit(&mut tenant, pointer, value.clone()));
        let folder = tempfile::tempdir().expect("a folder");
        copy(&sample("good"), folder.path());
        std::fs::remove_file(folder.path().join("tenant.yaml")).expect("it was copied");
        as_directory(&tenant, folder.path());
        assert_eq!(findings(&export::read(folder.path()).expect(id)), findings(&read(&tenant)), "{id}");
    }
}

#[test]
fn a_file_of_which_nothing_is_known_is_not_left_out() {
    for (content, is_failed, why) in [
        ("\"@@ALL@@\"", false, "is the placeholder @@ALL@@"),
        ("null", true, "is null where an object belongs"),
        // Known by its file's name, and nothing of it is set.
        ("{}", false, "\"unknown\""),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&sample("example-directory"), folder.path());
        std::fs::write(folder.path().join("clients/unknown.json"), content).expect("written");
        let (code, said, _) = run_audit(folder.path(), &["--format", "json", "--fail-on", "never"]);
        assert_eq!(code, Some(if is_failed { 2 } else { 0 }), "{content}: {said}");
        assert!(said.contains(why), "{content}: {said}");
    }
}

#[test]
fn a_placeholder_is_neither_right_nor_wrong() {
    let export = export::read(&sample("example-yaml")).expect("a folder with a tenant.yaml");
    let verdicts = checks::judge(&Scene { tenant: &export.tenant, traffic: None });
    let state = |id: &str| &verdicts.iter().find(|verdict| verdict.check.id == id).expect("a check").state;
    for (id, placeholder) in [
        ("client-callback-http", "##ENV##"),
        ("client-web-origin-localhost", "@@WEB_ORIGINS@@"),
        ("tenant-session-lifetime", "##SESSION_HOURS##"),
        ("tenant-logout-urls", "@@LOGOUT_URLS@@"),
    ] {
        match state(id) {
            State::NotRun(why) => assert!(why.why().contains(placeholder), "{id}: {why}"),
            other => panic!("{id}: {other:?}"),
        }
    }
    assert_eq!(*state("client-callback-localhost"), State::Found, "what is known is judged");
    for id in ["log-stream-missing", "rules-left", "custom-domain-not-ready", "tenant-node-version"] {
        assert!(matches!(state(id), State::NotRun(_)), "{id}: what the export leaves out is not judged");
    }
}

#[test]
fn errors_say_what_is_wrong_and_what_would_be_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let fails = |what: &[&str]| {
        let (code, out, error) = run_audit(folder.path(), &[]);
        assert_eq!((code, out.as_str()), (Some(2), ""));
        what.iter().for_each(|what| assert!(error.contains(what), "{what}: {error}"));
    };
    fails(&["has neither tenant.yaml nor tenant.json", "a0deploy export"]);
    // What would be of no use is not passed over.
    for (more, what) in [
        (["--record", "x"], "cannot be used with"),
        (["--settings", "nowhere.toml"], "--data <DIR>"),
        (["--tenant", "acme"], "--data <DIR>"),
        (["--unused-days", "401"], "401 is not in 1..=400"),
        (["--as-of", "yesterday"], "2026-11-01T00:00:00Z"),
        (["--baseline", "nowhere.toml"], "reading nowhere.toml"),
    ] {
        let (code, out, error) = run_audit(&sample("good"), &more);
        assert!(code == Some(2) && out.is_empty() && error.contains(what), "{more:?}: {error}");
    }
    let file = folder.path().join("tenant.yaml");
    for (text, what) in [
        ("", ["is empty", "clients:"]),
        ("- a\n", ["is no mapping", "clients:"]),
        ("klients: []\n", ["has no part of a tenant", "clients:"]),
        ("clients: 7\n", ["tenant.yaml#/clients", "a list of objects"]),
        ("clients: [\n", ["tenant.yaml, line", "not YAML"]),
    ] {
        std::fs::write(&file, text).expect("written");
        fails(&what);
    }
    // Of two layouts in one folder neither is passed over.
    std::fs::write(&file, "clients: []\n").expect("written");
    std::fs::create_dir(folder.path().join("clients")).expect("a folder");
    std::fs::write(folder.path().join("clients/notes.txt"), "no object").expect("written");
    assert_eq!(run_audit(folder.path(), &["--fail-on", "never"]).0, Some(0));
    std::fs::write(folder.path().join("clients/shop.json"), "{ \"name\": \"Shop\" }").expect("written");
    fails(&["holds two exports: tenant.yaml", "such as clients/shop.json", "tenant.yaml itself"]);
    assert_eq!(run_audit(&file, &["--fail-on", "never"]).0, Some(0));
}

#[test]
fn what_is_no_file_is_refused_by_its_name() {
    let pipe = |path: &Path| {
        let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
        assert!(made.success());
    };
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |what: &str| {
        let (code, out, error) = run_audit(folder.path(), &[]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
        assert!(error.contains(what) && error.contains("is no file") && !error.contains('\u{1b}'), "{error}");
    };
    std::fs::create_dir(folder.path().join("clients")).expect("a folder");
    pipe(&folder.path().join("clients/a\u{1b}[31m.json"));
    refused("clients/a\\u{1b}[31m.json");
    std::fs::remove_dir_all(folder.path().join("clients")).expect("removed");
    pipe(&folder.path().join("tenant.json"));
    refused("tenant.json");
    pipe(&folder.path().join("tenant.yaml"));
    refused("tenant.yaml");
}

#[test]
fn a_script_outside_of_the_export_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("outside.js"), "const apiKey = 'k9s8d7f6g5h4';").expect("written");
    let export = folder.path().join("export");
    std::fs::create_dir_all(export.join("actions")).expect("a folder");
    std::os::unix::fs::symlink(folder.path().join("outside.js"), export.join("actions/link.js")).expect("a link");
    for name in ["../outside.js", "actions/link.js", "/etc/hostname.js"] {
        let text = format!("actions:\n  - {{ name: a, code: {name:?}, runtime: node22 }}\n");
        std::fs::write(export.join("tenant.yaml"), text).expect("written");
        let (_, out, _) = run_audit(&export, &[]);
        assert!(unwrapped(&out).contains("names a file that is not within the export"), "{name}: {out}");
        assert!(!out.contains("seems to hold a secret"), "{name}: {out}");
    }
}

#[test]
fn what_is_recorded_is_all_that_the_checks_look_at() {
    // Scripts are left out on purpose.
    const OF_SCRIPTS: [&str; 8] = [
        "action-secret",
        "database-script-secret",
        "error-page-unescaped",
        "mfa-never",
        "password-reset-mfa",
        "pkce-not-enforced",
        "script-logs",
        "signup-tells-users",
    ];
    let of = |tenant: &Value| {
        let mut found = findings(&read(tenant));
        found.retain(|line| !OF_SCRIPTS.iter().any(|id| line.starts_with(&format!("{id} "))));
        found
    };
    for (id, edits, _) in faults() {
        let mut tenant = good();
        edits.iter().for_each(|(pointer, value)| edit(&mut tenant, pointer, value.clone()));
        let mut recorded = tenant.clone();
        // Pages are a part of exports only.
        for asset in assets::ASSETS.iter().filter(|asset| !asset.endpoint.is_empty()) {
            if let Some(value) = recorded.pointer_mut(&format!("/{}", asset.key.replace('.', "/"))) {
                *value = fetch::without_secrets(asset.key, value);
            }
        }
        assert!(!recorded.to_string().contains("this-never-leaves-the-file"), "{id}");
        assert_eq!(of(&recorded), of(&tenant), "{id}");
    }
}

#[test]
fn a_link_that_leads_nowhere_is_an_error_and_not_nothing() {
    let (folder, tenant) = (tempfile::tempdir().expect("a folder"), good());
    let root = |name: &str| folder.path().join(name);
    for at in [
        "clients/lost.json",
        "grants/lost.json",
        "tenant.json",
        "database-connections/lost",
        "database-connections/members/database.json",
        "organizations",
    ] {
        let root = root(&at.replace('/', "-"));
        as_directory(&tenant, &root);
        let link = root.join(at);
        if link.is_dir() {
            std::fs::remove_dir_all(&link).expect("removed");
        } else if link.exists() {
            std::fs::remove_file(&link).expect("removed");
        }
        std::fs::create_dir_all(link.parent().expect("a folder")).expect("a folder");
        std::os::unix::fs::symlink(root.join("no/such/place"), &link).expect("a link");
        let error = export::read(&root).err().unwrap_or_else(|| panic!("{at} is read")).to_string();
        assert!(error.contains(at) && error.contains("leads nowhere"), "{at}: {error}");
    }
    // Beside a tenant.yaml it is of another export.
    let root = root("both");
    std::fs::create_dir_all(root.join("clients")).expect("a folder");
    std::fs::write(root.join("tenant.yaml"), "clients: []\n").expect("written");
    std::os::unix::fs::symlink("nowhere", root.join("clients/lost.json")).expect("a link");
    let error = export::read(&root).err().expect("two exports").to_string();
    assert!(error.contains("clients/lost.json"), "{error}");
}

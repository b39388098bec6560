//! Reads what auth0-deploy-cli exports: a directory with a file for each object, or a `tenant.yaml`.
//!
//! Scripts that a file names are read from within the export only. What the export leaves out is missing, which is not the
//! same as none.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::assets::{ASSETS, Asset, Found, Item, Layout};
use super::document::{Document, Lines, Place, ReadError, placeholder};
use super::fetch::is_recording;
use super::not_run::NotRun;
use super::tenant::{self, Code, Tenant};

/// A file larger than this is no configuration.
const FILE_MAX: u64 = 64 << 20;

/// The names of the YAML layout's file.
const YAML_NAMES: [&str; 2] = ["tenant.yaml", "tenant.yml"];

/// A tenant, and where each of its values stands.
pub struct Export {
    pub tenant: Tenant,
    pub lines: BTreeMap<String, Lines>,
}

impl Export {
    /// The line of a place, if its file is a part of the export. The line of what is above it where it has none of its own.
    pub fn line(&self, place: &Place) -> Option<u32> {
        let lines = self.lines.get(&*place.file)?;
        let mut pointer = place.pointer.as_str();
        loop {
            match (lines.get(pointer), pointer.rsplit_once('/')) {
                (Some(line), _) => return Some(*line),
                (None, Some((above, _))) => pointer = above,
                (None, None) => return None,
            }
        }
    }
}

/// Reads an export: a folder of either layout, or the YAML file itself.
pub fn read(path: &Path) -> Result<Export, ReadError> {
    let expected = "the folder that `a0deploy export` wrote, or its tenant.yaml";
    let kind = std::fs::metadata(path).map_err(|error| ReadError::new(path.display(), error.to_string(), expected))?;
    if !kind.is_dir() {
        return yaml(path);
    }
    if let Some(name) = YAML_NAMES.iter().find(|name| path.join(name).exists()) {
        // Nobody could tell which of the two counts.
        if let Some(other) = first_object(path)? {
            let problem = format!("holds two exports: {name}, and one with a file for each object, such as {other}");
            let right = format!("{name} itself, or a folder without it");
            return Err(ReadError::new(path.display(), problem, right));
        }
        return yaml(&path.join(name));
    }
    if is_recording(path) {
        let problem = "is a recording of `ghostlight audit --record`, and no export";
        return Err(ReadError::new(path.display(), problem, "--replay, or audit.replay in settings, which reads it"));
    }
    let has = |asset: &Asset| {
        let (Layout::File(at) | Layout::Folder(at) | Layout::FolderBut(at, _) | Layout::Folders(at, _)) = asset.layout;
        is_there(&path.join(at))
    };
    if !ASSETS.iter().any(has) {
        return Err(ReadError::new(path.display(), "has neither tenant.yaml nor tenant.json nor clients/", expected));
    }
    directory(path)
}

/// A file of the directory layout with an object of a tenant.
fn first_object(root: &Path) -> Result<Option<String>, ReadError> {
    for asset in &ASSETS {
        let of_asset = match asset.layout {
            Layout::File(at) => Some(vec![PathBuf::from(at)]),
            Layout::Folder(folder) => json_files(root, folder, None)?,
            Layout::FolderBut(folder, but) => json_files(root, folder, Some(but))?,
            Layout::Folders(folder, name) => below_folders(root, folder, name)?,
        };
        let is_object = |file: &&PathBuf| root.join(file).is_file() || leads_nowhere(&root.join(file));
        if let Some(file) = of_asset.iter().flatten().find(is_object) {
            return Ok(Some(slashed(file)));
        }
    }
    Ok(None)
}

fn yaml(path: &Path) -> Result<Export, ReadError> {
    let (folder, name) = (path.parent().unwrap_or(Path::new("")), file_name(path));
    let mut files = Files::new(folder);
    let document = Document::yaml(&name, &files.text(Path::new(&name))?)?;
    let fields = match &document.root {
        Value::Object(fields) => fields,
        Value::Null => return Err(ReadError::new(&name, "is empty", "a key for each part, such as `clients:`")),
        _ => return Err(ReadError::new(&name, "is no mapping", "a key for each part, such as `clients:`")),
    };
    if !ASSETS.iter().any(|asset| fields.contains_key(first_key(asset.key))) {
        let right = "keys such as `tenant:`, `clients:`, `connections:`";
        return Err(ReadError::new(&name, "has no part of a tenant", right));
    }
    let mut found = BTreeMap::new();
    for asset in &ASSETS {
        let pointer = format!("/{}", asset.key.replace('.', "/"));
        let place = document.place().at(asset.key);
        found.insert(asset.key, items(document.root.pointer(&pointer), &place, asset)?);
    }
    files.lines.insert(name, document.lines);
    build(found, files)
}

fn first_key(key: &str) -> &str {
    key.split('.').next().unwrap_or(key)
}

fn directory(root: &Path) -> Result<Export, ReadError> {
    let mut files = Files::new(root);
    let mut found = BTreeMap::new();
    for asset in &ASSETS {
        let given = match asset.layout {
            Layout::File(at) => match is_there(&root.join(at)) {
                true => {
                    let document = files.json(Path::new(at))?;
                    items(Some(&document.root), &document.place(), asset)?
                }
                false => missing(at),
            },
            Layout::Folder(folder) => files.objects(folder, asset, &json_files(root, folder, None)?)?,
            Layout::FolderBut(folder, but) => files.objects(folder, asset, &json_files(root, folder, Some(but))?)?,
            Layout::Folders(folder, name) => files.objects(folder, asset, &below_folders(root, folder, name)?)?,
        };
        found.insert(asset.key, given);
    }
    build(found, files)
}

fn build(found: BTreeMap<&'static str, Found>, mut files: Files) -> Result<Export, ReadError> {
    let tenant = tenant::build(&found, &mut files);
    Ok(Export { tenant, lines: files.lines })
}

fn missing(what: &str) -> Found {
    Found::Missing(NotRun::NotGiven(format!("the export has no {what}")))
}

/// The objects of one part, of a list or alone.
fn items(value: Option<&Value>, place: &Place, asset: &Asset) -> Result<Found, ReadError> {
    let item = |value: &Value, place: Place| Item { value: value.clone(), place, file_name: None };
    match value {
        None | Some(Value::Null) => Ok(missing(asset.key)),
        Some(Value::Array(all)) => {
            Ok(Found::Items(all.iter().enumerate().map(|(index, value)| item(value, place.item(index))).collect()))
        }
        // As deploy-cli writes what is not set.
        Some(Value::Object(fields)) if fields.is_empty() => Ok(Found::Items(Vec::new())),
        Some(value @ Value::Object(_)) => Ok(Found::Items(vec![item(value, place.clone())])),
        Some(Value::String(text)) if placeholder(text).is_some() => {
            let why = format!("{place} is the placeholder {}", placeholder(text).unwrap_or_default());
            Ok(Found::Missing(NotRun::NotGiven(why)))
        }
        Some(_) => Err(ReadError::new(place, "is neither a list nor an object", "a list of objects")),
    }
}

fn json_files(root: &Path, folder: &str, but: Option<&str>) -> Result<Option<Vec<PathBuf>>, ReadError> {
    let listed = names(root, folder)?;
    let is_wanted = |name: &String| name.ends_with(".json") && but != Some(name.as_str());
    Ok(listed.map(|names| names.into_iter().filter(is_wanted).map(|name| Path::new(folder).join(name)).collect()))
}

fn below_folders(root: &Path, folder: &str, file: &str) -> Result<Option<Vec<PathBuf>>, ReadError> {
    let listed = names(root, folder)?;
    if let Some(link) =
        listed.iter().flatten().map(|name| root.join(folder).join(name)).find(|path| leads_nowhere(path))
    {
        return Err(ReadError::new(link.display(), NOWHERE, "a folder that can be read"));
    }
    let at = |name: String| Path::new(folder).join(name).join(file);
    Ok(listed.map(|names| names.into_iter().map(at).filter(|path| is_there(&root.join(path))).collect()))
}

/// What a folder holds, sorted, so that findings come in the same order everywhere.
fn names(root: &Path, folder: &str) -> Result<Option<Vec<String>>, ReadError> {
    let path = root.join(folder);
    let right = "a folder that can be read";
    let wrong = |error: std::io::Error| ReadError::new(path.display(), error.to_string(), right);
    if leads_nowhere(&path) {
        return Err(ReadError::new(path.display(), NOWHERE, right));
    }
    if !path.is_dir() {
        return Ok(None);
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&path).map_err(wrong)? {
        names.push(entry.map_err(wrong)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(Some(names))
}

/// Also a link to what is not there: whoever made it meant something.
fn is_there(path: &Path) -> bool {
    path.exists() || leads_nowhere(path)
}

fn leads_nowhere(path: &Path) -> bool {
    path.is_symlink() && !path.exists()
}

const NOWHERE: &str = "is a link that leads nowhere";

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The files of an export, by their paths relative to its folder.
struct Files {
    root: PathBuf,
    lines: BTreeMap<String, Lines>,
}

impl Files {
    fn new(root: &Path) -> Self {
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        Self { root: root.to_owned(), lines: BTreeMap::new() }
    }

    fn text(&self, path: &Path) -> Result<String, ReadError> {
        let full = self.root.join(path);
        let wrong = |problem: String| ReadError::new(full.display(), problem, "a UTF-8 text of at most 64 MiB");
        if leads_nowhere(&full) {
            return Err(wrong(NOWHERE.to_owned()));
        }
        let kind = std::fs::metadata(&full).map_err(|error| wrong(error.to_string()))?;
        // A pipe would be waited for, and a device may have no end.
        if !kind.is_file() {
            return Err(wrong("is no file".to_owned()));
        }
        let length = kind.len();
        if length > FILE_MAX {
            return Err(wrong(format!("has {length} bytes")));
        }
        let bytes = std::fs::read(&full).map_err(|error| wrong(error.to_string()))?;
        String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8".to_owned()))
    }

    fn json(&mut self, path: &Path) -> Result<Document, ReadError> {
        let name = slashed(path);
        let mut document = Document::json(&name, &self.text(path)?)?;
        self.lines.insert(name, std::mem::take(&mut document.lines));
        Ok(document)
    }

    fn objects(&mut self, folder: &str, asset: &Asset, paths: &Option<Vec<PathBuf>>) -> Result<Found, ReadError> {
        let Some(paths) = paths else { return Ok(missing(&format!("{folder}/"))) };
        let mut all = Vec::new();
        for path in paths {
            let document = self.json(path)?;
            // Where one of them is not known, nothing is known of all: a check would pass for want of it.
            let place = document.place();
            let items = match (&document.root, items(Some(&document.root), &place, asset)?) {
                (Value::Null, _) => {
                    let why = format!("{place} is null where an object belongs");
                    return Ok(Found::Missing(NotRun::Failed(why)));
                }
                (_, Found::Missing(why)) => return Ok(Found::Missing(why)),
                (root @ Value::Object(_), Found::Items(items)) if items.is_empty() => {
                    vec![Item { value: root.clone(), place, file_name: None }]
                }
                (_, Found::Items(items)) => items,
            };
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            all.extend(items.into_iter().map(|item| Item { file_name: Some(stem.clone()), ..item }));
        }
        Ok(Found::Items(all))
    }
}

impl Code for Files {
    /// Relative to the export, to the file that names it, or to where deploy-cli ran; nothing outside of the export.
    fn read(&mut self, from: &Place, name: &str) -> Option<(String, Place)> {
        let named = Path::new(name);
        let is_within =
            |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let beside = Path::new(&*from.file).parent().unwrap_or(Path::new("")).join(named);
        let root = self.root.canonicalize().ok()?;
        let parts: Vec<_> = named.components().collect();
        let shorter = (1..parts.len()).map(|from| parts[from..].iter().collect::<PathBuf>());
        let path = [named.to_owned(), beside].into_iter().chain(shorter).find(|path| {
            // A link could lead out as well.
            let real = self.root.join(path).canonicalize();
            is_within(path) && real.is_ok_and(|real| real.is_file() && real.starts_with(&root))
        })?;
        Some((self.text(&path).ok()?, Place::of(&slashed(&path))))
    }
}

fn slashed(path: &Path) -> String {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy()),
        _ => None,
    });
    parts.collect::<Vec<_>>().join("/")
}

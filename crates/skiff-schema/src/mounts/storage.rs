//! Buckets as they are written in `file_mounts`.

use std::collections::HashSet;

use serde_json::{Map, Value as Json, json};

use crate::faults::Fault;
use crate::json;
use crate::path::Path;
use crate::view::View;
use crate::words;
use crate::yaml::{Node, Value};

/// Addresses of buckets begin with these.
pub(super) const SCHEMES: [&str; 10] = [
    "s3", "gs", "https", "r2", "cos", "oci", "nebius", "cw", "vastdata", "hf",
];
/// Where a bucket's data come from.
enum Origin<'a> {
    /// Nowhere: it begins empty, or exists under its name.
    Nothing,
    /// From here.
    Local,
    /// It exists at this address.
    Remote { scheme: &'a str, rest: &'a str },
}

/// Reads a bucket that has the right form; nothing with a fault.
pub(super) fn read(node: &Node, path: &Path<'_>, faults: &mut Vec<Fault>) -> Json {
    let fields = View::of(node);
    let rules = Rules { fields, path };
    let before = faults.len();
    if let Some(origin) = rules.origin(faults) {
        rules.check_name(&origin, node, faults);
        rules.check_mode(&origin, faults);
    }
    if fields
        .text("store")
        .is_some_and(|store| store.eq_ignore_ascii_case("VOLUME"))
    {
        let message = format!("`{path}.store`: Kubernetes has no disks of Google Cloud");
        let help = "use `volumes` for a disk";
        faults.push(rules.at("store", Fault::new(message).help(help)));
    }
    if faults.len() > before {
        return Json::Null;
    }
    rules.to_json()
}

struct Rules<'a> {
    fields: View<'a>,
    path: &'a Path<'a>,
}

impl<'a> Rules<'a> {
    fn at(&self, field: &str, fault: Fault) -> Fault {
        match self.fields.key_span(field) {
            Some(span) => fault.at(span, ""),
            None => fault,
        }
    }

    fn mode(&self) -> String {
        self.fields.text("mode").unwrap_or("MOUNT").to_uppercase()
    }

    fn origin(&self, faults: &mut Vec<Fault>) -> Option<Origin<'a>> {
        let path = self.path.key("source");
        match &self.fields.get("source").map(|node| &node.value) {
            None => Some(Origin::Nothing),
            Some(Value::Sequence(items)) => {
                self.check_list(items, faults);
                Some(Origin::Local)
            }
            Some(Value::String(source)) => match super::split_address(source) {
                Some((scheme, rest)) if SCHEMES.contains(&scheme) => {
                    Some(Origin::Remote { scheme, rest })
                }
                Some((scheme, _)) => {
                    let fault =
                        Fault::new(format!("`{path}`: `{scheme}://` is no place of buckets"));
                    let help = format!(
                        "write a local folder, or an address with one of {}",
                        words::one_of(&SCHEMES)
                    );
                    faults.push(self.at("source", fault.help(help)));
                    None
                }
                None => {
                    self.check_local(source, faults);
                    Some(Origin::Local)
                }
            },
            Some(_) => None,
        }
    }

    fn check_local(&self, source: &str, faults: &mut Vec<Fault>) {
        let path = self.path.key("source");
        if source.ends_with('/') {
            let fault = Fault::new(format!("`{path}`: a path must not end with `/`"));
            faults.push(self.at("source", fault.help("remove the slash")));
        } else if source.is_empty() {
            let fault = Fault::new(format!("`{path}` is empty"));
            faults.push(self.at("source", fault));
        }
    }

    fn check_list(&self, items: &[Node], faults: &mut Vec<Fault>) {
        let path = self.path.key("source");
        if items.is_empty() {
            let fault = Fault::new(format!("`{path}` is an empty list"));
            faults.push(self.at("source", fault.help("name a file or a folder")));
        }
        let mut names = HashSet::new();
        for item in items {
            let Value::String(source) = &item.value else {
                continue;
            };
            self.check_local(source, faults);
            let name = source.rsplit('/').next().unwrap_or(source);
            if !names.insert(name) {
                let message =
                    format!("`{path}` has several files or folders that are called `{name}`");
                faults.push(Fault::new(message).at(item.span, "again here"));
            }
        }
    }

    fn check_name(&self, origin: &Origin<'_>, node: &Node, faults: &mut Vec<Fault>) {
        let path = self.path;
        let name = self.fields.text("name").filter(|name| !name.is_empty());
        match (origin, name) {
            (Origin::Remote { .. }, Some(_)) => {
                let fault = Fault::new(format!(
                    "`{path}` has both a `name` and the address of a bucket"
                ));
                faults.push(self.at("name", fault.help("remove `name`: the address holds it")));
            }
            (Origin::Local, None) => {
                let fault = Fault::new(format!("`{path}` has no `name`"));
                let help = "name the bucket to which the local files go";
                faults.push(fault.at(node.span, "").help(help));
            }
            (Origin::Nothing, None) => {
                let fault = Fault::new(format!("`{path}` has neither a `name` nor a `source`"));
                let help = "write `source: s3://<bucket>` for a bucket that exists, or `name: <bucket>` for a new one";
                faults.push(fault.at(node.span, "").help(help));
            }
            (_, Some(name)) => {
                if let Some((scheme, bucket)) = name.split_once("://")
                    && SCHEMES.contains(&scheme.to_lowercase().as_str())
                {
                    let fault = Fault::new(format!("`{path}.name` holds an address"));
                    let help = format!("write `source: {name}`, or `name: {bucket}` and a `store`");
                    faults.push(self.at("name", fault.help(help)));
                }
            }
            (Origin::Remote { .. }, None) => {}
        }
        if matches!(origin, Origin::Nothing) && name.is_some() && self.mode() == "COPY" {
            let fault = Fault::new(format!("`{path}` has no `source` to copy from"));
            faults.push(self.at("mode", fault.help("write a `source`, or another `mode`")));
        }
    }

    fn check_mode(&self, origin: &Origin<'_>, faults: &mut Vec<Fault>) {
        let (path, mode) = (self.path, self.mode());
        if let Origin::Remote { scheme, rest } = origin
            && mode != "COPY"
            && !is_whole_bucket(scheme, rest)
        {
            let message = format!("`{path}.source`: a folder of a bucket cannot be mounted");
            let help = "write the bucket alone, or `mode: COPY`";
            faults.push(self.at("source", Fault::new(message).help(help)));
        }
        let config = self.fields.view("config");
        let settings = [
            (self.fields, "type", "type", "MOUNT_CACHED"),
            (
                config,
                "mount_cached",
                "config.mount_cached",
                "MOUNT_CACHED",
            ),
            (config, "mount", "config.mount", "MOUNT"),
        ];
        for (fields, name, shown, needed) in settings {
            if fields.get(name).is_some() && mode != needed {
                let message =
                    format!("`{path}.{shown}` is for `mode: {needed}`, and this is {mode}");
                let fault = Fault::new(message).help("remove it, or change `mode`");
                let span = fields.key_span(name);
                faults.push(span.map_or(fault.clone(), |span| fault.at(span, "")));
            }
        }
    }

    /// The bucket with its defaults, words in upper case.
    fn to_json(&self) -> Json {
        let mut storage = Map::new();
        let upper = |name: &str| self.fields.text(name).map(str::to_uppercase);
        let as_written = |name: &str| self.fields.get(name).map(json::of_node);
        let persistent = self.fields.boolean("persistent").unwrap_or(true);
        let fields = [
            ("name", as_written("name")),
            ("source", as_written("source")),
            ("store", upper("store").map(Json::from)),
            ("mode", Some(json!(self.mode()))),
            ("type", upper("type").map(Json::from)),
            ("persistent", Some(json!(persistent))),
            ("config", as_written("config")),
            ("_is_sky_managed", as_written("_is_sky_managed")),
            ("_bucket_sub_path", as_written("_bucket_sub_path")),
            ("_force_delete", as_written("_force_delete")),
        ];
        for (name, value) in fields {
            storage.extend(value.map(|value| (name.to_owned(), value)));
        }
        Json::Object(storage)
    }
}

/// Whether an address names a bucket and nothing within it.
fn is_whole_bucket(scheme: &str, rest: &str) -> bool {
    let (_, folder) = rest.split_once('/').unwrap_or((rest, ""));
    match scheme {
        "https" | "hf" => true,
        // Of `cos` the region comes first.
        "cos" => {
            let bucket = folder.trim_end().trim_end_matches('/');
            !bucket.is_empty() && !bucket.contains('/')
        }
        _ => folder.trim_matches('/').is_empty(),
    }
}

//! Where in a binding's records values are normalised: a graph, compiled once from the write schema.
//!
//! A node stands for all schemas that apply to one place. Schemas that refer to themselves make
//! circles in the graph; nodes from which no change can be reached are left out of it.

use std::collections::{BTreeSet, HashMap};

use regex::Regex;
use serde_json::Value;

use crate::json::envelope::{Step, Watched};
use crate::json::members;
use crate::json::pointer;
use crate::json::schema::refs;
use crate::json::schema::types::Types;

/// More nodes than this come only of schemas made to blow up; places beyond are left alone.
const NODES: usize = 10_000;

/// What is done with the value at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It becomes RFC 3339; numbers only where the schema takes none.
    DateTime {
        /// Whether numbers are taken for times.
        numbers: bool,
    },
    /// It becomes the date that it begins with.
    Date,
}

/// A place in records.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) change: Option<Change>,
    /// By length and name; `None` where nothing is to be done below this member.
    members: Vec<(Box<str>, Option<usize>)>,
    patterns: Vec<(Regex, usize)>,
    /// All other members.
    others: Option<usize>,
    /// The elements of an array.
    pub(super) items: Option<usize>,
}

impl Node {
    /// The place of a member.
    pub(super) fn member(&self, name: &[u8]) -> Option<usize> {
        let order = |known: &str| known.len().cmp(&name.len()).then_with(|| known.as_bytes().cmp(name));
        if let Ok(at) = self.members.binary_search_by(|(known, _)| order(known)) {
            return self.members[at].1;
        }
        if self.patterns.is_empty() {
            return self.others;
        }
        let name = std::str::from_utf8(name).unwrap_or_default();
        let matching = self.patterns.iter().find(|(pattern, _)| pattern.is_match(name));
        matching.map(|(_, node)| *node).or(self.others)
    }

    fn set_member(&mut self, name: &str, node: usize) {
        match self.members.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, known)) => *known = Some(node),
            None => self.members.push((name.into(), Some(node))),
        }
        self.members.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    }

    fn below(&self) -> impl Iterator<Item = usize> {
        let patterns = self.patterns.iter().map(|(_, node)| *node);
        self.members.iter().filter_map(|(_, node)| *node).chain(patterns).chain(self.others).chain(self.items)
    }
}

/// The nodes, and which of them is the record.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
    pub(super) root: usize,
}

impl Plan {
    /// The plan of a binding; `None` where nothing in its records is ever changed. `dates` are pointers
    /// to what becomes a date; the step `*` stands for every element of an array.
    pub(super) fn compile(write_schema: &Value, dates: &[String]) -> Option<Plan> {
        let mut compiler =
            Compiler { root: write_schema, known: HashMap::new(), nodes: Vec::new(), open: Vec::new() };
        let root = compiler.node(&[write_schema]).unwrap_or_else(|| compiler.nothing());
        while let Some((node, schemas)) = compiler.open.pop() {
            compiler.nodes[node] = compiler.compiled(&schemas);
        }
        let mut plan = Plan { nodes: compiler.nodes, root };
        for pointer in dates {
            if let Some(path) = pointer::to_path(pointer) {
                plan.add(&path, Change::Date);
            }
        }
        plan.prune();
        let root = &plan.nodes[plan.root];
        let changes = root.change.is_some() || root.below().next().is_some();
        changes.then_some(plan)
    }

    /// What is known of the values at the end of this way through records.
    pub(super) fn at(&self, way: &[&Step]) -> Watched {
        let mut node = self.root;
        for step in way {
            let known = &self.nodes[node];
            let below = match step {
                Step::Member(name) => known.member(&members::unescaped(name).unwrap_or_default()),
                Step::Element => known.items,
                Step::OtherMember | Step::Whole if known.below().next().is_some() => return Watched::Unclear,
                Step::OtherMember | Step::Whole => None,
            };
            match below {
                Some(below) => node = below,
                None => return Watched::No,
            }
        }
        match (self.nodes[node].change, u32::try_from(node)) {
            (Some(_), Ok(node)) => Watched::As(node),
            (Some(_), Err(_)) => Watched::Unclear,
            (None, _) => Watched::No,
        }
    }

    /// Adds a change at one path. Nodes on the way may be of other places too, so they are copied.
    fn add(&mut self, path: &[String], change: Change) {
        let mut at = self.copy(Some(self.root));
        self.root = at;
        for step in path {
            let below = self.nodes[at].member(step.as_bytes());
            let copy = self.copy(below);
            self.nodes[at].set_member(step, copy);
            if step == "*" {
                let items = self.nodes[at].items;
                let copy = self.copy(items);
                self.nodes[at].items = Some(copy);
                at = copy;
            } else {
                at = copy;
            }
        }
        self.nodes[at].change = Some(change);
    }

    fn copy(&mut self, node: Option<usize>) -> usize {
        let copy = node.map(|node| self.nodes[node].clone()).unwrap_or_default();
        self.nodes.push(copy);
        self.nodes.len() - 1
    }

    /// Cuts the ways to nodes below which nothing changes.
    fn prune(&mut self) {
        let mut above: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (node, known) in self.nodes.iter().enumerate() {
            known.below().for_each(|below| above[below].push(node));
        }
        let mut useful: Vec<bool> = self.nodes.iter().map(|node| node.change.is_some()).collect();
        let mut open: Vec<usize> = (0..useful.len()).filter(|node| useful[*node]).collect();
        while let Some(node) = open.pop() {
            for &holder in &above[node] {
                if !std::mem::replace(&mut useful[holder], true) {
                    open.push(holder);
                }
            }
        }
        for node in &mut self.nodes {
            node.patterns.retain(|(_, below)| useful[*below]);
            node.others = node.others.filter(|below| useful[*below]);
            node.items = node.items.filter(|below| useful[*below]);
            let shadows = node.others.is_some() || !node.patterns.is_empty();
            for (_, below) in &mut node.members {
                *below = below.filter(|below| useful[*below]);
            }
            node.members.retain(|(_, below)| shadows || below.is_some());
        }
    }
}

struct Compiler<'a> {
    root: &'a Value,
    /// Nodes by the schemas that they stand for.
    known: HashMap<Vec<*const Value>, usize>,
    nodes: Vec<Node>,
    open: Vec<(usize, Vec<(&'a Value, bool)>)>,
}

impl<'a> Compiler<'a> {
    /// The node of the place to which these schemas apply; `None` where none says anything.
    fn node(&mut self, schemas: &[&'a Value]) -> Option<usize> {
        let schemas = self.closure(schemas);
        let mut name: Vec<*const Value> =
            schemas.iter().map(|(schema, _)| std::ptr::from_ref(*schema)).collect();
        name.sort_unstable();
        if let Some(node) = self.known.get(&name) {
            return Some(*node);
        }
        if schemas.is_empty() || self.nodes.len() >= NODES {
            return None;
        }
        self.nodes.push(Node::default());
        let node = self.nodes.len() - 1;
        self.known.insert(name, node);
        self.open.push((node, schemas));
        Some(node)
    }

    /// The node of a place of which no schema says anything.
    fn nothing(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    /// All schemas that apply to the place with these, each with whether it is one of alternatives.
    fn closure(&self, schemas: &[&'a Value]) -> Vec<(&'a Value, bool)> {
        let mut found: Vec<(&Value, bool)> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open: Vec<(&Value, bool)> = schemas.iter().map(|schema| (*schema, false)).collect();
        while let Some((schema, alternative)) = open.pop() {
            if !schema.is_object() || !seen.insert(std::ptr::from_ref(schema)) {
                continue;
            }
            found.push((schema, alternative));
            open.extend(refs::referenced(self.root, schema).map(|target| (target, alternative)));
            open.extend(list(&schema["allOf"]).map(|branch| (branch, alternative)));
            for alternatives in ["anyOf", "oneOf"] {
                open.extend(list(&schema[alternatives]).map(|branch| (branch, true)));
            }
            open.extend(["then", "else"].iter().filter_map(|branch| Some((schema.get(*branch)?, true))));
        }
        found
    }

    fn compiled(&mut self, schemas: &[(&'a Value, bool)]) -> Node {
        let mut node = Node { change: change(schemas), ..Node::default() };
        let schemas: Vec<&Value> = schemas.iter().map(|(schema, _)| *schema).collect();
        let names: BTreeSet<&String> = schemas
            .iter()
            .filter_map(|schema| schema["properties"].as_object())
            .flat_map(|own| own.keys())
            .collect();
        for name in names {
            let below: Vec<&Value> =
                schemas.iter().filter_map(|schema| schema["properties"].get(name)).collect();
            let below = self.node(&below);
            node.members.push((name.as_str().into(), below));
        }
        node.members.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        for (pattern, below) in
            schemas.iter().filter_map(|schema| schema["patternProperties"].as_object()).flatten()
        {
            if let (Ok(pattern), Some(below)) = (Regex::new(pattern), self.node(&[below])) {
                node.patterns.push((pattern, below));
            }
        }
        let others: Vec<&Value> =
            schemas.iter().filter_map(|schema| schema.get("additionalProperties")).collect();
        node.others = self.node(&others);
        let single =
            schemas.iter().filter_map(|schema| schema.get("items")).filter(|items| items.is_object());
        let listed = ["items", "prefixItems"];
        let listed =
            schemas.iter().flat_map(|schema| listed.into_iter().flat_map(|name| list(&schema[name])));
        let items: Vec<&Value> = single.chain(listed).collect();
        node.items = self.node(&items);
        node
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// What the schemas of a place ask for. Among alternatives a number may be meant as one.
fn change(schemas: &[(&Value, bool)]) -> Option<Change> {
    let is_time = |schema: &Value| schema["format"] == "date-time";
    let certain = schemas.iter().any(|(schema, alternative)| is_time(schema) && !alternative);
    let any = schemas.iter().any(|(schema, _)| is_time(schema));
    let takes_numbers = schemas.iter().any(|(schema, _)| {
        !is_time(schema)
            && schema.get("type").is_some_and(|types| Types::of_keyword(types).overlaps(Types::INTEGER))
    });
    any.then_some(Change::DateTime { numbers: certain || !takes_numbers })
}

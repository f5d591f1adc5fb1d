//! Hot path: which binding a stream's name means.
//!
//! Streams come in runs, so the last answer is tried first; no lookup allocates.

use std::collections::HashMap;

use crate::capture::protocol::Route;

/// Finds bindings by name.
#[derive(Debug)]
pub struct Router {
    routes: Vec<Route>,
    by_name: HashMap<String, Vec<usize>>,
    last: Option<usize>,
}

impl Router {
    /// A router for these names.
    pub fn new(routes: Vec<Route>) -> Self {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, route) in routes.iter().enumerate() {
            by_name.entry(route.name.clone()).or_default().push(index);
        }
        Self { routes, by_name, last: None }
    }

    /// Whether a binding reads a stream of this name, in whatever namespace.
    pub fn knows(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The position of the stream; `None` where no binding reads it.
    pub fn find(&mut self, namespace: Option<&str>, name: &str) -> Option<usize> {
        if let Some(route) = self.last.map(|last| &self.routes[last])
            && route.name == name
            && route.namespace.as_deref() == namespace
        {
            return Some(route.stream);
        }
        let named = self.by_name.get(name)?;
        let exact = named.iter().find(|&&index| self.routes[index].namespace.as_deref() == namespace);
        // A source may print no namespace, or one that its catalog lacks (airbyte-protocol.md, 8.13).
        let index = *exact.or_else(|| named.iter().find(|&&index| self.routes[index].namespace.is_none()))?;
        self.last = Some(index);
        Some(self.routes[index].stream)
    }

    /// Records of this stream come, which somebody else has found.
    pub fn enter(&mut self, stream: usize) {
        if self.last_stream() != Some(stream) {
            self.last = self.routes.iter().position(|route| route.stream == stream);
        }
    }

    /// The stream that was found last.
    pub fn last_stream(&self) -> Option<usize> {
        self.last.map(|last| self.routes[last].stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(namespace: Option<&str>, name: &str, stream: usize) -> Route {
        Route { namespace: namespace.map(str::to_owned), name: name.to_owned(), stream }
    }

    #[test]
    fn one_name_in_two_namespaces_is_two_streams() {
        let mut router = Router::new(vec![route(Some("a"), "orders", 0), route(Some("b"), "orders", 1)]);
        assert_eq!(router.find(Some("b"), "orders"), Some(1));
        assert_eq!(router.find(Some("a"), "orders"), Some(0));
        assert_eq!(router.find(None, "orders"), None);
        assert_eq!(router.find(Some("a"), "users"), None);
    }

    #[test]
    fn a_name_without_namespace_takes_any() {
        let mut router = Router::new(vec![route(Some("a"), "orders", 0), route(None, "orders", 0)]);
        assert_eq!(router.find(None, "orders"), Some(0));
        assert_eq!(router.find(Some("z"), "orders"), Some(0));
        assert_eq!(router.find(Some("z"), "orders"), Some(0));
    }
}

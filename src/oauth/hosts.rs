//! Which URL templates Flow would refuse for their host (flow-protocol.md, 5.3).
//!
//! Flow sends secrets there, so a value that the user gives may not decide where: scheme, port and
//! host are the template's, save for one whole leading label such as `{{{config.shop}}}.example.com`.

/// A value of the context, once tags are reduced.
const VALUE: char = '\u{0}';

/// Says why Flow would refuse the rendered URLs of this template.
pub(super) fn check(template: &str) -> Result<(), &'static str> {
    let reduced = reduce(template);
    let rest = reduced
        .strip_prefix("https://")
        .or_else(|| reduced.strip_prefix("http://"))
        .ok_or("it does not begin with https://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("its host has a user name");
    }
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    if port.contains(VALUE) {
        return Err("its port comes from a value");
    }
    let (first, others) = host.split_once('.').unwrap_or((host, ""));
    let value = VALUE.to_string();
    if host.matches(VALUE).count() > 1 {
        Err("its host has more than one value")
    } else if host == value {
        Err("its whole host comes from a value, which Flow takes only for *.my.salesforce.com")
    } else if others.contains(VALUE) {
        Err("a value in its host is not the first label")
    } else if first.contains(VALUE) && first != value {
        Err("a value in its host is only part of a label")
    } else {
        Ok(())
    }
}

/// The template with [`VALUE`] for each value, and without the tags of sections.
fn reduce(template: &str) -> String {
    let mut reduced = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((text, tail)) = rest.split_once("{{") {
        reduced.push_str(text);
        let tail = tail.strip_prefix('{').unwrap_or(tail);
        let (tag, after) = tail.split_once("}}").unwrap_or((tail, ""));
        if !tag.trim_start().starts_with(['#', '^', '/', '!']) {
            reduced.push(VALUE);
        }
        rest = after.strip_prefix('}').unwrap_or(after);
    }
    reduced.push_str(rest);
    reduced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_hosts_and_leading_labels_are_taken() {
        for template in [
            "https://github.com/login?client_id={{#urlencode}}{{{client_id}}}{{/urlencode}}",
            "https://{{{config.sub}}}.zendesk.com/oauth",
            "https://{{#urlencode}}{{{ config.sub }}}{{/urlencode}}.zendesk.com",
            "http://127.0.0.1:8080/x?y={{z}}",
        ] {
            assert_eq!(check(template), Ok(()), "{template}");
        }
    }

    #[test]
    fn what_a_value_decides_is_refused() {
        for (template, why) in [
            ("{{{config.url}}}/oauth", "begin"),
            ("https://{{{config.host}}}/oauth", "whole host"),
            ("https://shop-{{{config.shop}}}.example.com", "part of a label"),
            ("https://a.{{{config.shop}}}.com", "first label"),
            ("https://{{{config.a}}}{{{config.b}}}.example.com", "more than one"),
            ("https://{{{config.a}}}.x.com:{{{config.port}}}/", "port"),
            ("https://me@x.com/", "user name"),
            ("https://{{{config", "whole host"),
        ] {
            let refused = check(template).expect_err(template);
            assert!(refused.contains(why), "{template}: {refused}");
        }
    }
}

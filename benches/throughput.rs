//! How much CPU it takes to pass records through. Filled in below.
fn main() {}

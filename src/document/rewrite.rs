//! TeXML and TwiML with the URLs that name a backend leading back to us.

use super::address::Addresses;

/// The document with its URLs led home, every other byte unchanged. None: nothing
/// is to be changed.
pub fn rewrite(_body: &[u8], _addresses: &Addresses, _token: Option<&str>) -> Option<Vec<u8>> {
    None
}

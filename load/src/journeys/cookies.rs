//! A user's cookies, which last for one visit: the next visit is somebody new.

use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::Url;
use reqwest::cookie::{CookieStore, Jar};
use reqwest::header::HeaderValue;

/// The cookies of the present visit.
#[derive(Debug, Default)]
pub(super) struct VisitCookies(Mutex<Jar>);

impl VisitCookies {
    /// A new visit begins without any.
    pub(super) fn forget(&self) {
        *self.jar() = Jar::default();
    }

    /// A panic elsewhere leaves a jar as whole as before.
    fn jar(&self) -> MutexGuard<'_, Jar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CookieStore for VisitCookies {
    fn set_cookies(&self, headers: &mut dyn Iterator<Item = &HeaderValue>, url: &Url) {
        self.jar().set_cookies(headers, url);
    }

    fn cookies(&self, url: &Url) -> Option<HeaderValue> {
        self.jar().cookies(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_last_for_one_visit() {
        let (cookies, url) = (VisitCookies::default(), Url::parse("http://127.0.0.1/").unwrap());
        let set = HeaderValue::from_static("session=s-1; Path=/");
        cookies.set_cookies(&mut [&set].into_iter(), &url);
        assert_eq!(cookies.cookies(&url).unwrap(), "session=s-1");
        cookies.forget();
        assert_eq!(cookies.cookies(&url), None);
    }
}

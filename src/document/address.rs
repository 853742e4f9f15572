//! Which URLs in an answer lead back to us, and how they are to be written.

/// What is needed to tell: built once from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    public: String,
    names: Vec<String>,
    routes: Vec<String>,
}

impl Addresses {
    /// `public` is the URL providers were given and `names` those a backend may call
    /// itself by, all as `scheme://authority`; `routes` are the paths (and what is
    /// below them) that we answer.
    pub fn new(public: &str, names: &[String], routes: &[String]) -> Self {
        Self {
            public: public.to_owned(),
            names: names.to_vec(),
            routes: routes.to_vec(),
        }
    }

    /// A URL as the provider is to see it; None: as it stands. `token` is added to
    /// its query if it leads to us.
    pub fn lead_home(&self, _url: &str, _token: Option<&str>) -> Option<String> {
        None
    }
}

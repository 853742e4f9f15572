//! What a document plays is fetched without a word about the call: legacy is asked, and
//! what it does not have may be new's.

use crate::http::Request;
use crate::lab::{Lab, Text, story};

#[test]
fn what_legacy_does_not_have_is_asked_of_new_where_asking_does_no_harm() {
    story(async {
        let text = Text {
            routes: "[[route]]\npath = \"/texml\"\nprotocol = \"telnyx-texml\"\n".to_owned(),
            ..Text::default()
        };
        let lab = Lab::started(&text).await;
        for (method, query, came, asked) in [
            ("GET", "", (200, "legacy"), 0),
            ("GET", "legacy=page-404", (200, "new"), 1),
            ("GET", "legacy=page-503", (200, "new"), 1),
            ("GET", "legacy=resets", (200, "new"), 1),
            // Neither has it: what legacy said stands.
            ("GET", "legacy=page-404&new=page-500", (404, "legacy"), 1),
            // It is there, for somebody who may have it.
            ("GET", "legacy=page-403", (403, "legacy"), 0),
            // A second POST may do something twice.
            ("POST", "legacy=page-404", (404, "legacy"), 0),
            ("POST", "legacy=resets", (502, "-"), 0),
        ] {
            let request = Request {
                method,
                ..Request::get("/texml/prompts/hello.mp3").with(query)
            };
            let had = lab.new.total();
            let answer = lab.ask(&request).await;
            assert_eq!((answer.status(), answer.side()), came, "{method} {query}");
            assert_eq!(lab.new.total() - had, asked, "{method} {query}");
        }
        // It is nobody's call, and what new has not is no failure of new's.
        let new = lab.status().await["backends"]["new"].clone();
        assert_eq!((&new["calls"], &new["errors"]), (&0.into(), &0.into()));
    });
}

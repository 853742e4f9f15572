//! What a document does to the call, from the verbs directly under `Response`.
//!
//! - `Hangup` and `Reject` end it, `Redirect` and a `Dial` with an action hand
//!   over for good: what follows any of them is unreachable and says nothing.
//! - `Gather`, `Record`, `Dial`, `Enqueue`, every verb with an action and every
//!   verb not known here may lead to another request. After one of them nobody can
//!   tell from here who ends the call, so `ends` stays false, even if a
//!   `Hangup` follows for callers who pressed nothing.
//! - Else the end of the document ends the call, as both providers hang up there:
//!   an empty `Response`, a last `Say` or `Play`. Not a last `Pause`: that is how
//!   an application waits to act on the call from outside.
//! - `serves` is true for `Dial`, `Enqueue`, `Refer`, `Connect` and `Conference`
//!   at any depth, where reachable.
//!
//! A document played to a waiting or a called party (a queue's wait, a whisper)
//! looks like any other; its `ends` is about that document, not about the caller.

use super::Does;

/// How the call goes on when a provider runs the verbs in their order.
#[derive(Debug, Default)]
pub struct Course {
    serves: bool,
    /// A verb was there that may lead to another request.
    may_ask: bool,
    /// The last verb was a pause.
    waits: bool,
    /// Nothing after this is reached; whether the application ended the call.
    ended: Option<bool>,
}

impl Course {
    /// A verb: an element directly under `Response`.
    pub fn verb(&mut self, name: &[u8], has_action: bool) {
        if self.ended.is_some() {
            return;
        }
        self.noun(name);
        self.waits = name == b"Pause";
        match name {
            b"Hangup" | b"Reject" => self.ended = Some(!self.may_ask),
            b"Redirect" => self.ended = Some(false),
            b"Dial" if has_action => self.ended = Some(false),
            b"Say" | b"Play" | b"Pause" | b"Start" | b"Stop" | b"Suppression" | b"Sms" => {
                self.may_ask |= has_action;
            }
            _ => self.may_ask = true,
        }
    }

    /// An element inside a verb.
    pub fn noun(&mut self, name: &[u8]) {
        let serves = matches!(
            name,
            b"Dial" | b"Enqueue" | b"Refer" | b"Connect" | b"Conference"
        );
        // What stands inside a `Dial` that hands over is still reached: its nouns
        // add nothing, as the `Dial` itself has counted.
        self.serves |= serves && self.ended.is_none();
    }

    /// The document ended here, and with it, unless somebody may ask or act, the
    /// call.
    pub fn at_end(&self) -> Does {
        let runs_out = !self.may_ask && !self.waits;
        Does {
            serves: self.serves,
            ends: self.ended.unwrap_or(runs_out),
        }
    }

    /// The document could not be read on from here, so its end proves nothing.
    pub fn so_far(&self) -> Does {
        Does {
            serves: self.serves,
            ends: self.ended == Some(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Does;
    use crate::document::texml::judge;

    /// What a document with these verbs does; it must be sound.
    fn does(verbs: &str) -> Does {
        let document = format!("<Response>{verbs}</Response>");
        let judgement = judge(document.as_bytes(), None);
        assert_eq!(judgement.flaw, None, "{document}");
        judgement.does
    }

    #[test]
    fn the_application_ends_the_call_only_where_nothing_may_ask_it_again() {
        for (ends, verbs) in [
            (true, ""),
            (true, "<Hangup/>"),
            (true, "<Reject reason=\"busy\"/>"),
            (true, "<Say>Goodbye.</Say><Hangup/>"),
            (true, "<Say>Goodbye.</Say>"),
            (true, "<Play>bye.mp3</Play>"),
            (true, "<Pause length=\"1\"/><Say>Goodbye.</Say>"),
            (true, "<Pause/><Hangup/>"),
            (true, "<Hangup/><Gather/>"),
            (true, "<Reject/><Redirect>/next</Redirect>"),
            (true, "<Start><Transcription/></Start><Say>Goodbye.</Say>"),
            (false, "<Pause length=\"180\"/>"),
            (
                false,
                "<Start><Stream url=\"wss://a.example.com\"/></Start><Pause length=\"3600\"/>",
            ),
            (false, "<Redirect>/next</Redirect>"),
            (false, "<Redirect>/next</Redirect><Hangup/>"),
            (
                false,
                "<Gather action=\"/menu\"><Say>Press 1.</Say></Gather>",
            ),
            (
                false,
                "<Gather><Say>Press 1.</Say></Gather><Say>No input.</Say><Hangup/>",
            ),
            (false, "<Gather><Hangup/></Gather>"),
            (false, "<Record/>"),
            (false, "<Record action=\"/saved\"/><Hangup/>"),
            (false, "<Dial>+13125550100</Dial>"),
            (
                false,
                "<Dial action=\"/after\">+13125550100</Dial><Hangup/>",
            ),
            (false, "<Enqueue waitUrl=\"/hold\">support</Enqueue>"),
            (
                false,
                "<Connect><Stream url=\"wss://a.example.com\"/></Connect>",
            ),
            (false, "<Refer><Sip>sip:a@example.com</Sip></Refer>"),
            (false, "<AIGather action=\"/x\"/>"),
            (false, "<Sms action=\"/sent\">hi</Sms>"),
            (false, "<VerbOfTheFuture/>"),
            (false, "<VerbOfTheFuture/><Say>Goodbye.</Say><Hangup/>"),
        ] {
            assert_eq!(does(verbs).ends, ends, "{verbs}");
        }
    }

    #[test]
    fn a_caller_is_served_by_what_connects_him_to_somebody() {
        for (serves, verbs) in [
            (true, "<Dial>+13125550100</Dial>"),
            (true, "<Dial action=\"/a\"><Queue>support</Queue></Dial>"),
            (true, "<Dial><Conference>room</Conference></Dial>"),
            (true, "<Say>Hold on.</Say><Enqueue>support</Enqueue>"),
            (true, "<Refer><Sip>sip:a@example.com</Sip></Refer>"),
            (
                true,
                "<Connect><Stream url=\"wss://a.example.com\"/></Connect>",
            ),
            (true, "<Gather/><Dial>0</Dial>"),
            (true, "<Wrapper><Enqueue/></Wrapper>"),
            (false, "<Say>Dial</Say>"),
            (false, "<Dialog/>"),
            (
                false,
                "<Start><Stream url=\"wss://a.example.com\"/></Start>",
            ),
            (false, "<Hangup/><Dial>0</Dial>"),
            (
                false,
                "<Redirect>/next</Redirect><Dial><Number>0</Number></Dial>",
            ),
            (false, "<Reject/><Wrapper><Enqueue/></Wrapper>"),
            (false, ""),
        ] {
            assert_eq!(does(verbs).serves, serves, "{verbs}");
        }
    }
}

//! From a question to an answer, as messages of the protocol.
//!
//! Pure: what has to be asked elsewhere is told, and done by the caller.

use hickory_proto::{
    op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType},
};

use super::zone::{Found, NEGATIVE_TTL, TTL, Zone};

/// The largest answer over UDP, in bytes: one that no network on the way takes apart.
const LARGEST_DATAGRAM: u16 = 1232;
/// How many aliases are followed.
const ALIASES: usize = 8;

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is not answered: it is no request.
    Ignore,
    /// This is the answer.
    Reply(Box<Message>),
    /// The host's name servers know: the request may be passed on as it is.
    Outside(Box<Message>),
    /// The name is an alias of one outside: this is the answer so far, and the question that is left.
    Alias(Box<Message>, Query),
}

/// Decides on a request in wire format.
pub(super) fn outcome(zone: &Zone, bytes: &[u8]) -> Outcome {
    let request = match Message::from_vec(bytes) {
        Ok(request) if request.metadata.message_type == MessageType::Query => request,
        Ok(_) => return Outcome::Ignore,
        Err(_) => return malformed(bytes),
    };
    let mut reply = begun(&request);
    let refusal = match request.queries.as_slice() {
        _ if request.version() > 0 => Some(ResponseCode::BADVERS),
        _ if request.metadata.op_code != OpCode::Query => Some(ResponseCode::NotImp),
        [query] if query.query_class() != DNSClass::IN => Some(ResponseCode::Refused),
        [_] => None,
        _ => Some(ResponseCode::FormErr),
    };
    if let Some(code) = refusal {
        reply.metadata.response_code = code;
        return Outcome::Reply(Box::new(reply));
    }
    answered(zone, reply)
}

/// The bytes have at least a header: its sender is told that the rest is wrong.
fn malformed(bytes: &[u8]) -> Outcome {
    let [high, low, flags, ..] = bytes else {
        return Outcome::Ignore;
    };
    if bytes.len() < 12 || flags & 0x80 != 0 {
        return Outcome::Ignore;
    }
    let id = u16::from_be_bytes([*high, *low]);
    let reply = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
    Outcome::Reply(Box::new(reply))
}

/// An answer without any records yet.
fn begun(request: &Message) -> Message {
    let mut reply = Message::response(request.metadata.id, request.metadata.op_code);
    reply.metadata = Metadata::response_from_request(&request.metadata);
    reply.metadata.recursion_available = true;
    reply.add_queries(request.queries.iter().cloned());
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(LARGEST_DATAGRAM);
        reply.set_edns(edns);
    }
    reply
}

/// Fills in what the zone knows, following aliases.
fn answered(zone: &Zone, mut reply: Message) -> Outcome {
    let question = reply.queries[0].clone();
    let wanted = question.query_type();
    let mut name = question.name().clone();
    for _ in 0..=ALIASES {
        let records = match zone.find(&name) {
            Found::Outside if reply.answers.is_empty() => return Outcome::Outside(Box::new(reply)),
            Found::Outside => return Outcome::Alias(Box::new(reply), Query::query(name, wanted)),
            Found::Missing => {
                reply.metadata.response_code = ResponseCode::NXDomain;
                return Outcome::Reply(Box::new(nothing(zone, &name, reply)));
            }
            Found::Records(records) => records,
        };
        reply.metadata.authoritative = true;
        let is_wanted = |data: &RData| wanted == RecordType::ANY || wanted == data.record_type();
        let found: Vec<RData> = records
            .iter()
            .filter(|data| is_wanted(data))
            .cloned()
            .collect();
        if !found.is_empty() {
            return Outcome::Reply(Box::new(complete(zone, &name, found, reply)));
        }
        let alias = records.into_iter().find_map(|data| match data {
            RData::CNAME(target) => Some(target),
            _ => None,
        });
        let Some(target) = alias else {
            return Outcome::Reply(Box::new(nothing(zone, &name, reply)));
        };
        reply.add_answer(record(&name, RData::CNAME(target.clone())));
        name = target.0;
    }
    reply.metadata.response_code = ResponseCode::ServFail;
    Outcome::Reply(Box::new(reply))
}

fn complete(zone: &Zone, name: &Name, found: Vec<RData>, mut reply: Message) -> Message {
    for data in &found {
        if let RData::SRV(service) = data {
            for address in zone.addresses(&service.target) {
                reply.add_additional(record(&service.target, address));
            }
        }
    }
    reply.add_answers(found.into_iter().map(|data| record(name, data)));
    reply
}

/// Says who knows that there is nothing, and for how long.
fn nothing(zone: &Zone, name: &Name, mut reply: Message) -> Message {
    reply.metadata.authoritative = true;
    if let Some(apex) = zone.apex(name) {
        reply.add_authority(Record::from_rdata(
            apex.clone(),
            NEGATIVE_TTL,
            zone.authority(),
        ));
    }
    reply
}

fn record(name: &Name, data: RData) -> Record {
    Record::from_rdata(name.clone(), TTL, data)
}

/// An answer that the name is unknown, or with another code.
pub(super) fn with_code(mut reply: Message, code: ResponseCode) -> Message {
    reply.metadata.response_code = code;
    reply
}

/// Adds what the host's servers say about an alias's target.
pub(super) fn joined(mut reply: Message, outside: Message) -> Message {
    reply.metadata.response_code = outside.metadata.response_code;
    reply.add_answers(outside.answers);
    reply.add_authorities(outside.authorities);
    reply
}

/// The answer in wire format; over UDP with as many records as its asker has room for.
pub(super) fn encoded(mut reply: Message, room: Option<u16>) -> Option<Vec<u8>> {
    let room = usize::from(room.unwrap_or(u16::MAX));
    loop {
        let bytes = reply.to_vec().ok()?;
        if bytes.len() <= room {
            return Some(bytes);
        }
        if !reply.additionals.is_empty() {
            reply.additionals.clear();
        } else if reply.answers.is_empty() {
            return None;
        } else {
            let kept = reply.answers.len() * room / bytes.len();
            reply.answers.truncate(kept.min(reply.answers.len() - 1));
            reply.metadata.truncation = true;
        }
    }
}

/// The room that a request's asker has for a datagram.
pub(super) fn room(request: &[u8]) -> u16 {
    let asked = Message::from_vec(request).map_or(512, |request| request.max_payload());
    asked.min(LARGEST_DATAGRAM)
}

#[cfg(test)]
mod tests {
    use super::{super::zone::tests::zone, *};

    fn request(name: &str, wanted: RecordType) -> Message {
        let mut request = Message::query();
        request.add_query(Query::query(Name::from_ascii(name).unwrap(), wanted));
        request
    }

    fn asked(request: &Message) -> Outcome {
        outcome(&zone(), &request.to_vec().unwrap())
    }

    fn reply(name: &str, wanted: RecordType) -> Message {
        let request = request(name, wanted);
        let Outcome::Reply(reply) = asked(&request) else {
            panic!("{name} is not answered here")
        };
        assert_eq!(reply.metadata.id, request.metadata.id);
        *reply
    }

    fn texts(records: &[Record]) -> Vec<String> {
        records
            .iter()
            .map(|record| record.data.to_string())
            .collect()
    }

    #[test]
    fn an_address_is_answered_with_authority() {
        let reply = reply("web.default.svc.cluster.local.", RecordType::A);
        assert_eq!(texts(&reply.answers), ["10.200.64.7"]);
        assert!(reply.metadata.authoritative);
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
    }

    #[test]
    fn an_alias_is_followed_to_its_address() {
        let reply = reply("alias.default.svc.cluster.local.", RecordType::A);
        assert_eq!(
            texts(&reply.answers),
            ["web.default.svc.cluster.local.", "10.200.64.7"]
        );
    }

    #[test]
    fn aliases_in_a_circle_end() {
        let reply = reply("loop.default.svc.cluster.local.", RecordType::A);
        assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    }

    #[test]
    fn an_alias_of_a_name_outside_leaves_a_question() {
        let Outcome::Alias(reply, left) =
            asked(&request("out.default.svc.cluster.local.", RecordType::A))
        else {
            panic!("no alias")
        };
        assert_eq!(left.name().to_ascii(), "example.com.");
        let mut outside = Message::response(1, OpCode::Query);
        let address = RData::A("192.0.2.1".parse().unwrap());
        outside.add_answer(record(left.name(), address));
        assert_eq!(
            texts(&joined(*reply, outside).answers),
            ["example.com.", "192.0.2.1"]
        );
    }

    #[test]
    fn a_service_record_brings_the_addresses_along() {
        let reply = reply(
            "_ssh._tcp.ready.default.svc.cluster.local.",
            RecordType::SRV,
        );
        assert_eq!(texts(&reply.additionals), ["10.200.129.5"]);
    }

    #[test]
    fn nothing_is_told_with_how_long_it_holds() {
        for (name, code) in [
            ("nosuch.default.svc.cluster.local.", ResponseCode::NXDomain),
            ("web.default.svc.cluster.local.", ResponseCode::NoError),
            ("empty.default.svc.cluster.local.", ResponseCode::NoError),
        ] {
            let reply = reply(name, RecordType::AAAA);
            assert_eq!(reply.metadata.response_code, code, "{name}");
            assert!(reply.answers.is_empty());
            let RData::SOA(authority) = &reply.authorities[0].data else {
                panic!("no authority")
            };
            assert_eq!(
                (authority.minimum, reply.authorities[0].ttl),
                (NEGATIVE_TTL, NEGATIVE_TTL)
            );
        }
    }

    #[test]
    fn names_outside_are_passed_on() {
        let outcome = asked(&request("example.com.", RecordType::A));
        assert!(matches!(outcome, Outcome::Outside(_)));
    }

    #[test]
    fn what_is_no_question_is_refused_or_ignored() {
        let name = "web.default.svc.cluster.local.";
        let mut update = request(name, RecordType::A);
        update.metadata.op_code = OpCode::Update;
        let mut chaos = request(name, RecordType::A);
        chaos.queries[0].set_query_class(DNSClass::CH);
        let mut two = request(name, RecordType::A);
        two.add_query(two.queries[0].clone());
        let mut future = request(name, RecordType::A);
        let mut edns = Edns::new();
        edns.set_version(1);
        future.set_edns(edns);
        for (request, code) in [
            (update, ResponseCode::NotImp),
            (chaos, ResponseCode::Refused),
            (two, ResponseCode::FormErr),
            (future, ResponseCode::BADVERS),
        ] {
            let Outcome::Reply(reply) = asked(&request) else {
                panic!("no reply")
            };
            assert_eq!(reply.metadata.response_code, code);
        }
        let answer = reply(name, RecordType::A);
        assert!(matches!(asked(&answer), Outcome::Ignore));
        let zone = zone();
        assert!(matches!(outcome(&zone, b"short"), Outcome::Ignore));
        assert!(matches!(
            outcome(&zone, &[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63]),
            Outcome::Reply(_)
        ));
    }

    #[test]
    fn an_answer_that_is_too_large_is_cut_between_records_and_says_so() {
        let mut large = reply("web.default.svc.cluster.local.", RecordType::A);
        let template = large.answers[0].clone();
        large.add_answers((0..100).map(|_| template.clone()));
        large.add_additional(template);
        let bytes = encoded(large.clone(), Some(512)).unwrap();
        assert!(bytes.len() <= 512);
        let cut = Message::from_vec(&bytes).unwrap();
        assert!(
            cut.metadata.truncation && cut.answers.len() > 20,
            "{}",
            cut.answers.len()
        );
        let whole = Message::from_vec(&encoded(large, None).unwrap()).unwrap();
        assert!(!whole.metadata.truncation && whole.answers.len() == 101);
    }

    #[test]
    fn an_asker_with_room_gets_more_but_no_fragments() {
        let mut request = request("web.default.svc.cluster.local.", RecordType::A);
        assert_eq!(room(&request.to_vec().unwrap()), 512);
        let mut edns = Edns::new();
        edns.set_max_payload(4096);
        request.set_edns(edns);
        assert_eq!(room(&request.to_vec().unwrap()), LARGEST_DATAGRAM);
        let Outcome::Reply(reply) = asked(&request) else {
            panic!("no reply")
        };
        assert!(reply.edns.is_some());
    }
}

//! A `DynamoDB` that leaves items unprocessed, throttles and loses responses, which the stand-in
//! never does.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// The fault to inject into a `BatchWriteItem` request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Every other item is left unprocessed.
    LeaveEveryOther,
    /// The request is throttled.
    Throttle,
    /// The items are written, and the response is lost.
    LoseAnswer,
    /// The service returns an internal error.
    Break,
}

/// A proxy between a client and `DynamoDB`.
pub(crate) struct FaultyDynamodb {
    pub(crate) endpoint_url: String,
    faults: Arc<Mutex<VecDeque<Fault>>>,
}

impl FaultyDynamodb {
    /// Starts in front of the service at this address; ends with the process.
    pub(crate) fn of(endpoint_url: &str) -> Self {
        let target = endpoint_url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint_url = format!("http://{}", listener.local_addr().expect("an address"));
        let faults = Arc::<Mutex<VecDeque<Fault>>>::default();
        let shared = Arc::clone(&faults);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, target, faults) =
                    (client.expect("a client"), target.clone(), Arc::clone(&shared));
                std::thread::spawn(move || serve(&client, &target, &faults));
            }
        });
        Self { endpoint_url, faults }
    }

    /// The faults of the next requests; later ones are passed on.
    pub(crate) fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().expect("whole").extend(faults);
    }

    /// The number of faults still to come.
    pub(crate) fn planned(&self) -> usize {
        self.faults.lock().expect("whole").len()
    }
}

/// Head and body of a request or response.
struct Message {
    head: String,
    body: Vec<u8>,
}

fn serve(client: &TcpStream, target: &str, faults: &Mutex<VecDeque<Fault>>) {
    let mut reader = BufReader::new(client);
    while let Some(request) = read(&mut reader) {
        let is_write = request.head.to_lowercase().contains("dynamodb_20120810.batchwriteitem");
        let fault = is_write.then(|| faults.lock().expect("whole").pop_front()).flatten();
        let answer = match fault {
            None => forward(target, &request),
            Some(Fault::LeaveEveryOther) => leave_every_other(target, request),
            Some(Fault::Throttle) => {
                let kind =
                    "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
                error("400 Bad Request", &json!({ "__type": kind, "message": "slow down" }))
            }
            Some(Fault::Break) => {
                let kind = "com.amazonaws.dynamodb.v20120810#InternalServerError";
                error("500 Internal Server Error", &json!({ "__type": kind, "message": "broken" }))
            }
            Some(Fault::LoseAnswer) => {
                forward(target, &request);
                let _ = client.shutdown(std::net::Shutdown::Both);
                return;
            }
        };
        let mut client = client;
        if client.write_all(answer.head.as_bytes()).and(client.write_all(&answer.body)).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Message> {
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a length");
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Message { head, body })
}

fn forward(target: &str, request: &Message) -> Message {
    let lines = request.head.lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default().to_lowercase();
        !line.is_empty() && name != "content-length" && name != "connection"
    });
    let head: Vec<&str> = lines.collect();
    let mut server = TcpStream::connect(target).expect("connected");
    let rest = format!("content-length: {}\r\nconnection: close\r\n\r\n", request.body.len());
    server.write_all(format!("{}\r\n{rest}", head.join("\r\n")).as_bytes()).expect("sent");
    server.write_all(&request.body).expect("sent");
    let answer = read(&mut BufReader::new(&server)).expect("an answer");
    let head = answer.head.replace("connection: close\r\n", "");
    Message { head, ..answer }
}

fn error(status: &str, body: &Value) -> Message {
    let body = body.to_string().into_bytes();
    let kind = "content-type: application/x-amz-json-1.0";
    let head = format!("HTTP/1.1 {status}\r\n{kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    Message { head, body }
}

fn leave_every_other(target: &str, request: Message) -> Message {
    let mut body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let tables = body["RequestItems"].as_object_mut().expect("tables");
    let (table, items) = tables.iter_mut().next().expect("a table");
    let all = items.as_array().expect("items").clone();
    let (mut kept, mut left) = (Vec::new(), Vec::new());
    for (position, item) in all.into_iter().enumerate() {
        if position % 2 == 0 { kept.push(item) } else { left.push(item) }
    }
    *items = Value::Array(kept);
    let unprocessed = if left.is_empty() { json!({}) } else { json!({ (table.clone()): left }) };
    forward(target, &Message { body: body.to_string().into_bytes(), ..request });
    let answer = json!({ "UnprocessedItems": unprocessed });
    error("200 OK", &answer)
}

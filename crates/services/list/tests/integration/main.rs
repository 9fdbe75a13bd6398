//! All services together, embedded and local, through the real clients.

mod embedded_aws;
mod local_kafka;
mod local_servers;
mod orphans;

//! Follows the rebalances of a consumer group.

use std::ffi::c_void;
use std::ptr;

use rdkafka::bindings as rd;
use rdkafka::types::RDKafkaRespErr;

use super::{Reports, text};

/// Handles a rebalance as librdkafka would by itself. Without this callback, it does not leave a
/// cooperative group when a member with partitions is closed (2.12,
/// `rd_kafka_cgrp_incr_unassign_done`), and the other members wait until its session has timed out.
pub(super) unsafe extern "C" fn rebalance(
    client: *mut rd::rd_kafka_t,
    event: RDKafkaRespErr,
    partitions: *mut rd::rd_kafka_topic_partition_list_t,
    reports: *mut c_void,
) {
    let is_assignment = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    // SAFETY: librdkafka passes a client that is alive, its opaque pointer, which outlives the
    // client, and a list that lives through the call and is copied; an error is ours to destroy,
    // and logged by librdkafka.
    unsafe {
        let is_cooperative = text(rd::rd_kafka_rebalance_protocol(client)) == "COOPERATIVE";
        let ids = ids(&*partitions);
        let mut reading = (*reports.cast::<Reports>()).reading();
        if is_assignment {
            reading.assigned(ids, is_cooperative);
        } else {
            reading.revoked(ids);
        }
        drop(reading);
        let error = match (is_cooperative, is_assignment) {
            (true, true) => rd::rd_kafka_incremental_assign(client, partitions),
            (true, false) => rd::rd_kafka_incremental_unassign(client, partitions),
            (false, _) => {
                rd::rd_kafka_assign(client, if is_assignment { partitions } else { ptr::null() });
                ptr::null_mut()
            }
        };
        if !error.is_null() {
            rd::rd_kafka_error_destroy(error);
        }
    }
}

/// The partitions in a librdkafka list.
///
/// # Safety
/// The list was created by librdkafka and lives as long as the iterator.
unsafe fn ids(list: &rd::rd_kafka_topic_partition_list_t) -> impl Iterator<Item = i32> {
    let count = usize::try_from(list.cnt).unwrap_or(0);
    let elements = if count == 0 {
        &[]
    } else {
        // SAFETY: guaranteed by the caller; the list has `cnt` elements.
        unsafe { std::slice::from_raw_parts(list.elems, count) }
    };
    elements.iter().map(|element| element.partition)
}

//! Reads partitions without a consumer group.

use rdkafka::bindings as rd;
use rdkafka::types::RDKafkaRespErr;

use super::Queue;

/// The partitions of a consumer without a group. If a group were configured, librdkafka would look
/// up its coordinator even if it is not used; so none is, and reading uses the calls that predate
/// groups.
#[derive(Default)]
pub(super) struct Alone {
    pub(super) topic: Option<*mut rd::rd_kafka_topic_t>,
    started: Vec<i32>,
}

impl Alone {
    /// Starts reading partitions of `topic` into `queue`.
    ///
    /// # Safety
    /// Topic and queue belong to the same client, and both are alive.
    pub(super) unsafe fn start(
        &mut self,
        topic: *mut rd::rd_kafka_topic_t,
        starts: &[(i32, i64)],
        queue: &Queue,
    ) -> RDKafkaRespErr {
        for &(partition, offset) in starts {
            // SAFETY: guaranteed by the caller.
            unsafe {
                if rd::rd_kafka_consume_start_queue(topic, partition, offset, queue.0) != 0 {
                    return rd::rd_kafka_last_error();
                }
            }
            self.started.push(partition);
        }
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
    }

    /// Stops reading, without contacting a broker.
    ///
    /// # Safety
    /// The client is alive.
    pub(super) unsafe fn stop(&mut self) {
        let Some(topic) = self.topic.take() else { return };
        // SAFETY: the topic is alive until it is destroyed, after its last use.
        unsafe {
            for partition in self.started.drain(..) {
                rd::rd_kafka_consume_stop(topic, partition);
            }
            rd::rd_kafka_topic_destroy(topic);
        }
    }
}

//! The result as people read it: one table for each question.

use super::{
    Sharing,
    effort::Effort,
    outsourcing::Outsourcing,
    querying::Querying,
    reading::Reading,
    responses::{Response, Responses},
    schemes::{OneRecord, Scheme, SecondCopy, SeparateObjects},
    updating::{Update, What},
};
use crate::results::Table;

impl Sharing {
    pub(super) fn table(&self) -> Table {
        let mut table = self.outsourcing_table();
        table.part(self.query_table());
        table.part(self.reading_table());
        table.part(self.response_table());
        table.part(self.update_table());
        table
    }

    fn outsourcing_table(&self) -> Table {
        let head =
            ["outsourcings", "author", "patient", "hospital that seals", "each other hospital"];
        let mut table =
            Table::new("Sharing: what each party computes and sends to outsource", &head);
        for Outsourcing { count, author, patient, hospital, other_hospital } in &self.outsourcings {
            let efforts = [author, patient, hospital, other_hospital].map(spent);
            table.row([count.to_string()].into_iter().chain(efforts));
        }
        let Self { repetitions, text_bytes, .. } = self;
        table.note(format!(
            "Median time of {repetitions} repetitions, and bytes, for that many visits of one text of {text_bytes} \
             random characters. Measured within one process, by the functions that client and worker call."
        ));
        table.note(
            "Author: describe and sign the visit, sign the request. Patient: sign the same visit. Hospital that \
             seals: verify request and signatures, seal, pack one lite block, sign its announcement. Other hospital: \
             check the block and all signatures, sign the approval.",
        );
        table.note(
            "Left out: network, TLS, databases, disks, reading the chain, and all work of the nodes, such as \
             consensus, the pallets' checks and the verification of a transaction's signature. Bytes are those of \
             signed transactions, and of requests with the headers of their signature, each sent once; nodes send \
             transactions on to each other.",
        );
        table
    }

    fn query_table(&self) -> Table {
        let head = ["queries", "requester", "patient", "mailbox"];
        let mut table = Table::new("What each party computes and sends to query", &head);
        for Querying { count, requester, patient, hospital } in &self.queries {
            let efforts = [requester, patient, hospital].map(spent);
            table.row([count.to_string()].into_iter().chain(efforts));
        }
        table.note(
            "Each query asks for one section of another record. Requester: seal the terms, sign query and \
             collection, open and check the grant, verify the record, open the section. Patient: open terms and \
             patient key, verify and open the section, seal the grant, sign acceptance and request. Mailbox: verify \
             both requests, compare the grant with the acceptance, sign the transfer. The same is left out as above, \
             and the computation of the answer's Base64 and JSON.",
        );
        table
    }

    fn reading_table(&self) -> Table {
        let head = [
            "shared sections",
            "users",
            "scheme",
            "requests of a user",
            "index entries",
            "keys stored for users",
            "bytes stored",
            "bytes for a user",
            "time to share",
            "time to open",
        ];
        let mut table =
            Table::new("What it takes to share sections and to read all of them", &head);
        for reading in &self.readings {
            table.row(reading_row(reading));
        }
        let [one, separate, copy] = [OneRecord::NAME, SeparateObjects::NAME, SecondCopy::NAME];
        table.note(format!(
            "{one}: as this project does it. {separate}: each section is an object with a signature, a request and \
             an index entry of its own, and its key is sealed to every user. {copy}: a copy of the shared sections \
             under another key, which is sealed to every user. The two are rebuilt for this comparison with the same \
             ciphers, signatures and formats, and used nowhere else."
        ));
        table.note(
            "Measured within one process. Time to share: the hospital seals all sections, and the keys for all users; \
             Epione does the latter only when a user reads. Time to open: one user verifies and opens all sections. \
             Stored bytes are sealed data, index entries, the consent with its placements and keys for users, in \
             SCALE, once: without the tree of the chain's state, and not for every hospital that stores them. \
             Requests go to the hospital; Epione's record comes from the user's node.",
        );
        table
    }

    fn response_table(&self) -> Table {
        let head = [
            "sections",
            "one record: requests",
            "first reading",
            "again",
            "separate objects: requests",
            "first reading",
            "again",
        ];
        let mut table = Table::new("How long a user waits, on a network", &head);
        for Responses { sections, one_record, separate_objects } in &self.responses {
            let both = [one_record, separate_objects].into_iter().flat_map(response_cells);
            table.row([sections.to_string()].into_iter().chain(both));
        }
        let Self { hospitals, repetitions, .. } = self;
        table.note(format!(
            "{hospitals} hospitals with nodes and workers on this machine. The patient has placed all sections in a \
             slot with a consent for a doctor who does not treat the patient. The doctor reads all sections of a \
             record, and verifies what the node says. First reading: once, with a new grant, whose receipt has to be \
             final. Again: the median of {repetitions} readings by the same grant."
        ));
        table.note(
            "Separate objects: the sections are files of the same lengths, and each is a segment of its own, fetched \
             from the worker one after the other. Their keys come with one grant, and they are in one record: so the \
             times are less than a scheme would need in which each object also has a request for its key and a \
             record of its own.",
        );
        table
    }

    fn update_table(&self) -> Table {
        let head = [
            "change",
            "shared sections",
            "users",
            "Epione: transaction",
            "state",
            "rebuilt: separate objects",
            "rebuilt: second copy",
        ];
        let mut table = Table::new("Bytes that a change writes", &head);
        for update in &self.updates {
            table.row(update_row(update));
        }
        let records = self.records;
        table.note(format!(
            "A section is shared: one more section of one record, for all users. A user is admitted, or removed: for \
             all sections of {records} equal records, whose bytes are those of one record times {records}. The users \
             are those after the change."
        ));
        table.note(
            "Epione: the patient's signed transaction, and what it writes into the chain's state: keys and values in \
             SCALE, with the entry in the chain of shared changes, without events and without the tree of the state; \
             no record and no key changes. What a removed user has read stays readable to that user in every scheme. \
             The rebuilt schemes seal what is needed so that stored data open with keys of the present users only: \
             new keys for users, and after a removal all shared sections.",
        );
        table
    }
}

fn spent(effort: &Effort) -> String {
    format!("{}, {} B", millis(effort.millis), effort.bytes)
}

fn millis(time: f64) -> String {
    format!("{time:.2} ms")
}

fn reading_row(reading: &Reading) -> [String; 10] {
    [
        reading.sections.to_string(),
        reading.users.to_string(),
        reading.scheme.to_owned(),
        reading.requests.to_string(),
        reading.index_entries.to_string(),
        reading.wrapped_keys.to_string(),
        reading.stored_bytes.to_string(),
        reading.fetched_bytes.to_string(),
        millis(reading.share_millis),
        millis(reading.open_millis),
    ]
}

fn response_cells(response: &Response) -> [String; 3] {
    let Response { requests, first_millis, again_millis } = response;
    [requests.to_string(), millis(*first_millis), millis(*again_millis)]
}

fn update_row(update: &Update) -> [String; 7] {
    let what = match update.what {
        What::SectionShared => "a section is shared",
        What::UserAdmitted => "a user is admitted",
        What::UserRemoved => "a user is removed",
    };
    let bytes = |bytes: u64| format!("{bytes} B");
    [
        what.to_owned(),
        update.sections.to_string(),
        update.users.to_string(),
        bytes(update.transaction_bytes),
        bytes(update.state_bytes),
        bytes(update.separate_objects_bytes),
        bytes(update.second_copy_bytes),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_milliseconds_and_lengths_in_bytes() {
        assert_eq!(spent(&Effort { millis: 1.234, bytes: 65 }), "1.23 ms, 65 B");
        let response = Response { requests: 11, first_millis: 5_000.0, again_millis: 20.456 };
        assert_eq!(response_cells(&response), ["11", "5000.00 ms", "20.46 ms"]);
    }

    #[test]
    fn a_change_shows_what_each_scheme_writes() {
        let update = Update {
            what: What::UserRemoved,
            sections: 10,
            users: 8,
            transaction_bytes: 200,
            state_bytes: 100,
            separate_objects_bytes: 3,
            second_copy_bytes: 4,
        };
        let row = update_row(&update);
        assert_eq!(row, ["a user is removed", "10", "8", "200 B", "100 B", "3 B", "4 B"]);
    }
}

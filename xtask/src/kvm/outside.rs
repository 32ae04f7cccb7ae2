//! What the machine saw of a run of `vmm dirty`, from its events (`docs/EVENTS.md`), phase by phase.
//!
//! It knows nothing of the kernel: faults are traps out of a guest, fences are instructions that a hart executed, and
//! leaves are stores to pages that serve as G-stage tables.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The kinds of events that are read here.
const KINDS: &str = "exits,fences,gstage";

/// W of a PTE [priv, "Sv39"].
const PTE_W: u64 = 1 << 2;

const PAGE_BYTES: u64 = 4096;

// Causes [priv, "hcause"].
const ECALL_VS: u64 = 10;
const FETCH_GUEST_PAGE: u64 = 20;
const LOAD_GUEST_PAGE: u64 = 21;
const STORE_GUEST_PAGE: u64 = 23;

/// What happened in a phase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// Guest-page faults of instruction fetches that HS-mode handled.
    pub fetch_faults: u64,
    /// Those of loads.
    pub load_faults: u64,
    /// Those of stores and AMOs.
    pub store_faults: u64,
    /// Leaves that became tables with the same frames.
    pub splits: u64,
    /// Entries that became leaves.
    pub maps: u64,
    /// Pointers to tables that became leaves.
    pub collapses: u64,
    /// Leaves that became writable.
    pub restores: u64,
    /// Leaves that became read-only.
    pub protects: u64,
    /// HFENCE.GVMA and HINVAL.GVMA with an address.
    pub range_fences: u64,
    /// Those with a VMID and no address.
    pub vmid_fences: u64,
    /// Those with neither.
    pub all_fences: u64,
    /// Pages of the slot that the guest could not write to before: numbers from the slot's start.
    pub made_writable: BTreeSet<u64>,
}

/// Arguments of `nestwalk run` that write the events to `file`.
pub fn arguments(file: &Path) -> [String; 4] {
    ["--events".into(), file.display().to_string(), "--event-kinds".into(), KINDS.into()]
}

/// The phases in a file of events: each ends with an environment call from VS-mode. What is before the first call and
/// after the last belongs to none. The slot begins at guest physical address `gpa` and has `pages` pages.
pub fn read(file: &Path, gpa: u64, pages: u64) -> Result<Vec<Outside>> {
    let events = File::open(file).context("the machine wrote no events")?;
    phases(BufReader::new(events), gpa, pages)
}

fn phases(events: impl BufRead, gpa: u64, pages: u64) -> Result<Vec<Outside>> {
    let mut phases = Vec::new();
    let mut phase: Option<Outside> = None;
    for line in events.lines() {
        let line = line?;
        let event: Value =
            serde_json::from_str(&line).with_context(|| format!("not an event: {line}"))?;
        if is_call_from_guest(&event) {
            phases.extend(phase.replace(Outside::default()));
        } else if let Some(phase) = &mut phase {
            phase.add(&event, gpa, pages).with_context(|| format!("not understood: {line}"))?;
        }
    }
    ensure!(!phases.is_empty(), "the machine saw no two calls of a guest");
    Ok(phases)
}

fn is_call_from_guest(event: &Value) -> bool {
    event["event"] == "trap" && event["code"] == ECALL_VS && event["interrupt"] == false
}

impl Outside {
    fn add(&mut self, event: &Value, slot_gpa: u64, pages: u64) -> Result<()> {
        match event["event"].as_str().context("no name")? {
            "trap" if event["interrupt"] == false && event["to"] == "S" => {
                match event["code"].as_u64().context("no code")? {
                    FETCH_GUEST_PAGE => self.fetch_faults += 1,
                    LOAD_GUEST_PAGE => self.load_faults += 1,
                    STORE_GUEST_PAGE => self.store_faults += 1,
                    _ => {}
                }
            }
            "fence" if event["stage"] == "G" => {
                let has = |operand: &str| event.get(operand).is_some();
                match (has("gpa"), has("of_vmid")) {
                    (true, _) => self.range_fences += 1,
                    (false, true) => self.vmid_fences += 1,
                    (false, false) => self.all_fences += 1,
                }
            }
            "gstage" => self.add_store(event, slot_gpa, pages)?,
            _ => {}
        }
        Ok(())
    }

    fn add_store(&mut self, event: &Value, slot_gpa: u64, pages: u64) -> Result<()> {
        match event["op"].as_str().context("no op")? {
            "split" => self.splits += 1,
            "map" => self.maps += 1,
            "collapse" => self.collapses += 1,
            "restore" => self.restores += 1,
            "write-protect" => {
                self.protects += 1;
                return Ok(());
            }
            _ => return Ok(()),
        }
        let new = hexadecimal(&event["new"])?;
        if event["op"] == "split" || new & PTE_W == 0 {
            return Ok(());
        }
        let bytes = event["bytes"].as_u64().context("no size")?;
        let start = hexadecimal(&event["gpa"])?;
        let numbers = (start..start.saturating_add(bytes)).step_by(PAGE_BYTES as usize);
        let in_slot = numbers.filter_map(|gpa| Some(gpa.checked_sub(slot_gpa)? / PAGE_BYTES));
        self.made_writable.extend(in_slot.filter(|page| *page < pages));
        Ok(())
    }
}

fn hexadecimal(value: &Value) -> Result<u64> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    u64::from_str_radix(digits.context("not a hexadecimal number")?, 16).context("not a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = r#"{"event":"trap","mode":"VS","to":"S","code":10,"interrupt":false}"#;

    fn seen(lines: &[&str]) -> Vec<Outside> {
        let text = [&[r#"{"schema":1}"#, CALL], lines, &[CALL]].concat().join("\n");
        phases(text.as_bytes(), 0xc000_0000, 2048).unwrap()
    }

    #[test]
    fn a_phase_lasts_from_call_to_call_and_what_is_outside_belongs_to_none() {
        let fence = r#"{"event":"fence","stage":"G","by":"hfence.gvma"}"#;
        let text = [fence, CALL, fence, CALL, CALL, fence].join("\n");
        let found = phases(text.as_bytes(), 0, 1).unwrap();
        assert_eq!(found.iter().map(|phase| phase.all_fences).collect::<Vec<_>>(), [1, 0]);
        assert!(phases(CALL.as_bytes(), 0, 1).is_err());
    }

    #[test]
    fn fences_are_told_apart_by_their_operands() {
        let found = seen(&[
            r#"{"event":"fence","stage":"G","by":"hinval.gvma","gpa":"0xc0000000","of_vmid":1}"#,
            r#"{"event":"fence","stage":"G","by":"hfence.gvma","of_vmid":1}"#,
            r#"{"event":"fence","stage":"G","by":"hfence.gvma"}"#,
            r#"{"event":"fence","stage":"VS","by":"hfence.vvma","of_vmid":1}"#,
            r#"{"event":"fence","by":"sfence.w.inval"}"#,
        ]);
        let [phase] = &found[..] else { panic!("{found:?}") };
        assert_eq!((phase.range_fences, phase.vmid_fences, phase.all_fences), (1, 1, 1));
    }

    #[test]
    fn guest_page_faults_count_where_hs_mode_handles_them() {
        let found = seen(&[
            r#"{"event":"trap","to":"S","code":23,"interrupt":false}"#,
            r#"{"event":"trap","to":"M","code":23,"interrupt":false}"#,
            r#"{"event":"trap","to":"S","code":21,"interrupt":false}"#,
            r#"{"event":"trap","to":"S","code":20,"interrupt":false}"#,
            r#"{"event":"trap","to":"S","code":23,"interrupt":true}"#,
        ]);
        let faults = (found[0].fetch_faults, found[0].load_faults, found[0].store_faults);
        assert_eq!(faults, (1, 1, 1));
    }

    #[test]
    fn pages_become_writable_by_maps_and_restores_with_w() {
        let store = |op: &str, gpa: &str, bytes: u64, new: &str| {
            format!(
                r#"{{"event":"gstage","op":"{op}","gpa":"{gpa}","bytes":{bytes},"new":"{new}"}}"#
            )
        };
        let lines = [
            store("map", "0xc0000000", 4096, "0xdf"),
            store("map", "0xc0001000", 4096, "0xdb"),
            store("collapse", "0xc0200000", 2 << 20, "0xdb"),
            store("restore", "0xc0005000", 4096, "0xdf"),
            store("restore", "0x80000000", 4096, "0xdf"),
            store("restore", "0xc0800000", 4096, "0xdf"),
            store("split", "0xc0200000", 2 << 20, "0x1"),
            store("write-protect", "0xc0400000", 2 << 20, "0xdb"),
            store("restore", "0xc07ff000", 8192, "0xdf"),
        ];
        let found = seen(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let phase = &found[0];
        assert_eq!(phase.made_writable.iter().copied().collect::<Vec<_>>(), [0, 5, 2047]);
        assert_eq!((phase.maps, phase.restores, phase.splits, phase.protects), (2, 4, 1, 1));
        assert_eq!(phase.collapses, 1);
    }
}

//! What was measured: rows of `reference_cycles.csv`, the program and the group each belongs to.

use anyhow::{Context, Result, bail};
use std::path::Path;

/// A row: a benchmark on a measured core over a memory of some latency.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    /// The program's kind: `micro_m`, `micro_sv` or `kernel`.
    suite: String,
    /// The benchmark's name.
    pub(crate) benchmark: String,
    /// The core that was measured.
    pub(crate) core: String,
    /// The memory's latency in cycles.
    pub(crate) latency: u64,
    /// How often the benchmark does what it measures.
    pub(crate) ops: u64,
    /// Cycles.
    pub(crate) cycles: u64,
    /// Instructions.
    pub(crate) instret: u64,
}

/// What a benchmark is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Group {
    /// Arithmetic, branches and memory.
    Pipeline,
    /// TLBs and walks.
    Walks,
    /// Traps, fences, CSRs, and what hypervisors do with them.
    Traps,
    /// Whole programs.
    Kernels,
}

impl Group {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 4] = [Self::Pipeline, Self::Walks, Self::Traps, Self::Kernels];

    /// The name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pipeline => "pipeline, memory, branches",
            Self::Walks => "walks and TLBs",
            Self::Traps => "traps and fences",
            Self::Kernels => "kernels",
        }
    }
}

impl Row {
    /// The name of the program that prints this row, without `.elf`.
    pub(crate) fn program(&self, has_h: bool) -> String {
        match &*self.suite {
            "micro_sv" if has_h => "micro_h".into(),
            "micro_sv" => "micro_s".into(),
            "kernel" => format!("k_{}", self.benchmark),
            suite => suite.into(),
        }
    }

    /// What it is about, as its name says.
    pub(crate) fn group(&self) -> Group {
        const TRAPS: [&str; 11] = [
            "ecall", "fault", "trap", "exit", "dirty", "fence", "hlv", "hsv", "csr", "satp", "mret",
        ];
        let has = |word: &&str| self.benchmark.contains(*word);
        match &*self.suite {
            "kernel" => Group::Kernels,
            // Chases in M-mode are about the data cache.
            suite if suite != "micro_m" && has(&"chase") => Group::Walks,
            _ if TRAPS.iter().any(has) => Group::Traps,
            _ => Group::Pipeline,
        }
    }
}

/// The rows of a folder.
///
/// # Errors
/// There is no such file, or it has other columns.
pub(crate) fn read(folder: &Path) -> Result<Vec<Row>> {
    let path = folder.join("reference_cycles.csv");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> Result<Vec<Row>> {
    const HEAD: &str = "group,benchmark,core,axi_latency,ops,cycles,instret";
    let mut lines = text.lines();
    if lines.next().map(str::trim) != Some(HEAD) {
        bail!("the columns should be {HEAD}");
    }
    let rows = lines.filter(|line| !line.trim().is_empty());
    rows.map(|line| row(line).with_context(|| format!("row '{line}'"))).collect()
}

fn row(line: &str) -> Result<Row> {
    let fields: Vec<&str> = line.trim().split(',').collect();
    let [suite, benchmark, core, latency, ops, cycles, instret] = fields[..] else {
        bail!("not seven columns");
    };
    let row = Row {
        suite: suite.into(),
        benchmark: benchmark.into(),
        core: core.into(),
        latency: latency.parse()?,
        ops: ops.parse()?,
        cycles: cycles.parse()?,
        instret: instret.parse()?,
    };
    if row.cycles == 0 {
        bail!("no cycles");
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(suite: &str, benchmark: &str) -> Row {
        row(&format!("{suite},{benchmark},cva6-imafdch,10,1,2,3")).unwrap()
    }

    #[test]
    fn a_row_names_its_program_and_its_group() {
        assert_eq!(of("micro_sv", "vs_chase_4k_g4k_8").program(true), "micro_h");
        assert_eq!(of("micro_sv", "s_chase_4k_8").program(false), "micro_s");
        assert_eq!(of("kernel", "crc").program(true), "k_crc");
        assert_eq!(of("micro_sv", "s_chase_4k_8").group(), Group::Walks);
        assert_eq!(of("micro_m", "chase_8k").group(), Group::Pipeline);
        assert_eq!(of("micro_m", "fence_rw").group(), Group::Traps);
        assert_eq!(of("kernel", "matmul").group(), Group::Kernels);
    }

    #[test]
    fn other_columns_are_refused() {
        assert!(parse("benchmark,cycles\nx,1").is_err());
        let head = "group,benchmark,core,axi_latency,ops,cycles,instret\n";
        assert!(parse(&format!("{head}micro_m,x,y,1,2,0,4")).is_err());
        assert!(parse(&format!("{head}micro_m,x,y,1,2,3")).is_err());
        assert_eq!(parse(&format!("{head}micro_m,x,y,1,2,3,4\n")).unwrap().len(), 1);
    }
}

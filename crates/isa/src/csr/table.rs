//! The CSRs: one row each, or one for a run of alike registers with consecutive numbers. A
//! register's name is its constant's in lower case.

use super::CsrRow;
use crate::ext::needs;

/// The bytes of an ASCII word in lower case.
const fn lower<const N: usize>(word: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let mut i = 0;
    while i < N {
        bytes[i] = word.as_bytes()[i].to_ascii_lowercase();
        i += 1;
    }
    bytes
}

macro_rules! lower {
    ($name:ident) => {{
        const WORD: &str = stringify!($name);
        const BYTES: [u8; WORD.len()] = lower(WORD);
        match std::str::from_utf8(&BYTES) {
            Ok(name) => name,
            Err(_) => panic!("a register's name is ASCII"),
        }
    }};
}

macro_rules! numbers {
    ($doc:literal $number:expr;) => {};
    ($doc:literal $number:expr; $name:ident $($rest:ident)*) => {
        #[doc = concat!($doc, ".")]
        pub const $name: u16 = $number;
        numbers! { $doc $name + 1; $($rest)* }
    };
}

macro_rules! csrs {
    ($($number:literal $needs:tt $doc:literal: $($name:ident)+;)*) => {
        $(numbers! { $doc $number; $($name)+ })*

        /// Every CSR.
        pub static CSRS: &[CsrRow] = &[$($(
            CsrRow { number: $name, name: lower!($name), needs: needs!($needs), doc: $doc },
        )+)*];
    };
}

csrs! {
    // number and extensions  what it is                                                constant
    // Unprivileged
    0x001  (F)              "Floating-point accrued exceptions":                         FFLAGS;
    0x002  (F)              "Floating-point dynamic rounding mode":                      FRM;
    0x003  (F)              "Floating-point control and status: frm and fflags":         FCSR;
    0x015  (Zkr)            "Entropy for random bit generators":                         SEED;
    0xc00  (Zicntr)         "Cycle counter":                                             CYCLE;
    0xc01  (Zicntr)         "Timer":                                                     TIME;
    0xc02  (Zicntr)         "Retired-instruction counter":                               INSTRET;
    0xc03  (Zihpm)          "Performance-monitoring counter":
        HPMCOUNTER3 HPMCOUNTER4 HPMCOUNTER5 HPMCOUNTER6 HPMCOUNTER7 HPMCOUNTER8 HPMCOUNTER9
        HPMCOUNTER10 HPMCOUNTER11 HPMCOUNTER12 HPMCOUNTER13 HPMCOUNTER14 HPMCOUNTER15
        HPMCOUNTER16 HPMCOUNTER17 HPMCOUNTER18 HPMCOUNTER19 HPMCOUNTER20 HPMCOUNTER21
        HPMCOUNTER22 HPMCOUNTER23 HPMCOUNTER24 HPMCOUNTER25 HPMCOUNTER26 HPMCOUNTER27
        HPMCOUNTER28 HPMCOUNTER29 HPMCOUNTER30 HPMCOUNTER31;

    // Supervisor
    0x100  (S)              "Supervisor status":                                         SSTATUS;
    0x104  (S)              "Supervisor interrupt enable":                               SIE;
    0x105  (S)              "Supervisor trap vector":                                    STVEC;
    0x106  (S)              "Supervisor counter enable":                                 SCOUNTEREN;
    0x10a  (S)              "Supervisor environment configuration":                      SENVCFG;
    0x10c  (Ssstateen)      "Supervisor state enable":
        SSTATEEN0 SSTATEEN1 SSTATEEN2 SSTATEEN3;
    0x140  (S)              "Supervisor scratch":                                        SSCRATCH;
    0x141  (S)              "Supervisor exception program counter":                      SEPC;
    0x142  (S)              "Supervisor trap cause":                                     SCAUSE;
    0x143  (S)              "Supervisor trap value":                                     STVAL;
    0x144  (S)              "Supervisor interrupt pending":                              SIP;
    0x14d  (Sstc)           "Supervisor timer compare":                                  STIMECMP;
    0x180  (S)              "Supervisor address translation and protection":             SATP;
    0xda0  (Sscofpmf)       "Supervisor count overflow":                                 SCOUNTOVF;

    // Hypervisor
    0x600  (H)              "Hypervisor status":                                         HSTATUS;
    0x602  (H)              "Hypervisor exception delegation":                           HEDELEG;
    0x603  (H)              "Hypervisor interrupt delegation":                           HIDELEG;
    0x604  (H)              "Hypervisor interrupt enable":                               HIE;
    0x605  (H)              "Difference of VS-mode time to time":                        HTIMEDELTA;
    0x606  (H)              "Hypervisor counter enable":                                 HCOUNTEREN;
    0x607  (H)              "Hypervisor guest external interrupt enable":                HGEIE;
    0x60a  (H)              "Hypervisor environment configuration":                      HENVCFG;
    0x60c  (H & Ssstateen)  "Hypervisor state enable":
        HSTATEEN0 HSTATEEN1 HSTATEEN2 HSTATEEN3;
    0x643  (H)              "Hypervisor trap value: guest physical address >> 2":        HTVAL;
    0x644  (H)              "Hypervisor interrupt pending":                              HIP;
    0x645  (H)              "Hypervisor virtual interrupt pending":                      HVIP;
    0x64a  (H)              "Hypervisor trap instruction, transformed":                  HTINST;
    0x680  (H)              "Hypervisor guest address translation and protection":       HGATP;
    0xe12  (H)              "Hypervisor guest external interrupt pending":               HGEIP;

    // Virtual supervisor
    0x200  (H)              "Virtual supervisor status":                                 VSSTATUS;
    0x204  (H)              "Virtual supervisor interrupt enable":                       VSIE;
    0x205  (H)              "Virtual supervisor trap vector":                            VSTVEC;
    0x240  (H)              "Virtual supervisor scratch":                                VSSCRATCH;
    0x241  (H)              "Virtual supervisor exception program counter":              VSEPC;
    0x242  (H)              "Virtual supervisor trap cause":                             VSCAUSE;
    0x243  (H)              "Virtual supervisor trap value":                             VSTVAL;
    0x244  (H)              "Virtual supervisor interrupt pending":                      VSIP;
    0x24d  (H & Sstc)       "Virtual supervisor timer compare":                          VSTIMECMP;
    0x280  (H)              "Virtual supervisor address translation and protection":     VSATP;

    // Machine
    0xf11  (I)              "Vendor":                                                    MVENDORID;
    0xf12  (I)              "Architecture":                                              MARCHID;
    0xf13  (I)              "Implementation":                                            MIMPID;
    0xf14  (I)              "Hart":                                                      MHARTID;
    0xf15  (I)              "Address of a configuration structure":                      MCONFIGPTR;
    0x300  (I)              "Machine status":                                            MSTATUS;
    0x301  (I)              "ISA and extensions":                                        MISA;
    0x302  (S)              "Machine exception delegation":                              MEDELEG;
    0x303  (S)              "Machine interrupt delegation":                              MIDELEG;
    0x304  (I)              "Machine interrupt enable":                                  MIE;
    0x305  (I)              "Machine trap vector":                                       MTVEC;
    0x306  (U)              "Machine counter enable":                                    MCOUNTEREN;
    0x30a  (U)              "Machine environment configuration":                         MENVCFG;
    0x30c  (Smstateen)      "Machine state enable":
        MSTATEEN0 MSTATEEN1 MSTATEEN2 MSTATEEN3;
    0x320  (I)              "Machine counter inhibit":                                   MCOUNTINHIBIT;
    0x321  (Smcntrpmf)      "Mode filter of mcycle":                                     MCYCLECFG;
    0x322  (Smcntrpmf)      "Mode filter of minstret":                                   MINSTRETCFG;
    0x323  (I)              "Performance-monitoring event selector":
        MHPMEVENT3 MHPMEVENT4 MHPMEVENT5 MHPMEVENT6 MHPMEVENT7 MHPMEVENT8 MHPMEVENT9
        MHPMEVENT10 MHPMEVENT11 MHPMEVENT12 MHPMEVENT13 MHPMEVENT14 MHPMEVENT15 MHPMEVENT16
        MHPMEVENT17 MHPMEVENT18 MHPMEVENT19 MHPMEVENT20 MHPMEVENT21 MHPMEVENT22 MHPMEVENT23
        MHPMEVENT24 MHPMEVENT25 MHPMEVENT26 MHPMEVENT27 MHPMEVENT28 MHPMEVENT29 MHPMEVENT30
        MHPMEVENT31;
    0x340  (I)              "Machine scratch":                                           MSCRATCH;
    0x341  (I)              "Machine exception program counter":                         MEPC;
    0x342  (I)              "Machine trap cause":                                        MCAUSE;
    0x343  (I)              "Machine trap value":                                        MTVAL;
    0x344  (I)              "Machine interrupt pending":                                 MIP;
    0x34a  (H)              "Machine trap instruction, transformed":                     MTINST;
    0x34b  (H | Ssdbltrp)   "Second machine trap value: guest physical address >> 2":    MTVAL2;
    0x3a0  (I)              "Physical memory protection configuration":                  PMPCFG0;
    0x3a2  (I)              "Physical memory protection configuration":                  PMPCFG2;
    0x3a4  (I)              "Physical memory protection configuration":                  PMPCFG4;
    0x3a6  (I)              "Physical memory protection configuration":                  PMPCFG6;
    0x3a8  (I)              "Physical memory protection configuration":                  PMPCFG8;
    0x3aa  (I)              "Physical memory protection configuration":                  PMPCFG10;
    0x3ac  (I)              "Physical memory protection configuration":                  PMPCFG12;
    0x3ae  (I)              "Physical memory protection configuration":                  PMPCFG14;
    0x3b0  (I)              "Physical memory protection address":
        PMPADDR0 PMPADDR1 PMPADDR2 PMPADDR3 PMPADDR4 PMPADDR5 PMPADDR6 PMPADDR7 PMPADDR8
        PMPADDR9 PMPADDR10 PMPADDR11 PMPADDR12 PMPADDR13 PMPADDR14 PMPADDR15 PMPADDR16
        PMPADDR17 PMPADDR18 PMPADDR19 PMPADDR20 PMPADDR21 PMPADDR22 PMPADDR23 PMPADDR24
        PMPADDR25 PMPADDR26 PMPADDR27 PMPADDR28 PMPADDR29 PMPADDR30 PMPADDR31 PMPADDR32
        PMPADDR33 PMPADDR34 PMPADDR35 PMPADDR36 PMPADDR37 PMPADDR38 PMPADDR39 PMPADDR40
        PMPADDR41 PMPADDR42 PMPADDR43 PMPADDR44 PMPADDR45 PMPADDR46 PMPADDR47 PMPADDR48
        PMPADDR49 PMPADDR50 PMPADDR51 PMPADDR52 PMPADDR53 PMPADDR54 PMPADDR55 PMPADDR56
        PMPADDR57 PMPADDR58 PMPADDR59 PMPADDR60 PMPADDR61 PMPADDR62 PMPADDR63;
    0x747  (Zkr | Smepmp | Smmpm) "Machine security configuration":                      MSECCFG;
    0x7a0  (I)              "Trigger select":                                            TSELECT;
    0x7a1  (I)              "Trigger data 1":                                            TDATA1;
    0x7a2  (I)              "Trigger data 2":                                            TDATA2;
    0x7a3  (I)              "Trigger data 3":                                            TDATA3;
    0x7a4  (I)              "Trigger information":                                       TINFO;
    0xb00  (I)              "Machine cycle counter":                                     MCYCLE;
    0xb02  (I)              "Machine retired-instruction counter":                       MINSTRET;
    0xb03  (I)              "Machine performance-monitoring counter":
        MHPMCOUNTER3 MHPMCOUNTER4 MHPMCOUNTER5 MHPMCOUNTER6 MHPMCOUNTER7 MHPMCOUNTER8
        MHPMCOUNTER9 MHPMCOUNTER10 MHPMCOUNTER11 MHPMCOUNTER12 MHPMCOUNTER13 MHPMCOUNTER14
        MHPMCOUNTER15 MHPMCOUNTER16 MHPMCOUNTER17 MHPMCOUNTER18 MHPMCOUNTER19 MHPMCOUNTER20
        MHPMCOUNTER21 MHPMCOUNTER22 MHPMCOUNTER23 MHPMCOUNTER24 MHPMCOUNTER25 MHPMCOUNTER26
        MHPMCOUNTER27 MHPMCOUNTER28 MHPMCOUNTER29 MHPMCOUNTER30 MHPMCOUNTER31;
}

//! The words of Spike, as `spike --help` writes them. Those that are spelt and mean the same as ours
//! (`--isa`, `--pc`, `--log`, `--log-commits`, `--initrd`, `--kernel`, `--dtb`, `--dump-dts`, `--misaligned`) have no row.

use super::dialect::{Becomes::*, Word};

/// Every word of Spike's that is known here.
pub(crate) const WORDS: &[Word] = &[
    Word { word: "-l", value: "", becomes: Ours("--log-commits") },
    Word { word: "--bootargs", value: "TEXT", becomes: Ours("--append") },
    Word { word: "--instructions", value: "N", becomes: Ours("--max-insns") },
    Word { word: "--pmpregions", value: "N", becomes: Ours("--pmp-entries") },
    Word {
        word: "--real-time-clint",
        value: "",
        becomes: Built(|to, _| {
            to.put("--clock", "native");
            Ok(())
        }),
    },
    Word {
        word: "-p",
        value: "N",
        becomes: Refused(
            "it counts harts in Spike and is unknown to QEMU; write --harts N or -smp N",
        ),
    },
    Word {
        word: "-d",
        value: "",
        becomes: Refused(
            "it is the interactive debugger in Spike and a list of logs in QEMU; write \
             --trace-filter for diagnostics",
        ),
    },
    Word {
        word: "--priv",
        value: "M|MU|MSU",
        becomes: Refused("write --isa rv64,s=off or rv64,u=off"),
    },
    Word { word: "--halted", value: "", becomes: Ours("--gdb-wait") },
    Word {
        word: "--rbb-port",
        value: "N",
        becomes: Refused("there is no debug module; --gdb PORT serves debuggers directly"),
    },
    Word { word: "--ic", value: "S:W:B", becomes: Refused("cache models are not built yet") },
    Word { word: "--dc", value: "S:W:B", becomes: Refused("cache models are not built yet") },
    Word { word: "--l2", value: "S:W:B", becomes: Refused("cache models are not built yet") },
    Word {
        word: "--log-cache-miss",
        value: "",
        becomes: Refused("cache models are not built yet"),
    },
    Word { word: "--triggers", value: "N", becomes: Refused("debug triggers are not built yet") },
    Word {
        word: "+signature",
        value: "FILE",
        becomes: Built(|to, file| {
            to.put("--signature", file);
            // Spike's lines have 16 bytes unless the other word says otherwise, before this one or after it.
            to.put_default("--signature-granularity", "16");
            Ok(())
        }),
    },
    Word {
        word: "+signature-granularity",
        value: "BYTES",
        becomes: Ours("--signature-granularity"),
    },
    Word { word: "--varch", value: "V", becomes: Refused("the vector extension is not built yet") },
    Word {
        word: "--extension",
        value: "NAME",
        becomes: Refused("extensions are switched by --isa"),
    },
    Word { word: "--extlib", value: "FILE", becomes: Refused("extensions cannot be loaded") },
    Word { word: "--device", value: "NAME", becomes: Refused("devices cannot be loaded") },
    Word {
        word: "--hartids",
        value: "A,B",
        becomes: Refused("harts are numbered from 0; write --harts N"),
    },
    Word { word: "--big-endian", value: "", becomes: Refused("harts are little-endian") },
    Word {
        word: "--disable-dtb",
        value: "",
        becomes: Refused("a program that needs no device tree may ignore a1"),
    },
];

//! Machines with the cycles of a core under a debugger.

use debug::End;
use isa::Pa;
use isa::asm::Program;
use machine::{Machine, Stop};

use crate::rig::{BASE, EXIT, Say, converse, machine_of};

fn packets(texts: &[String]) -> Vec<Say> {
    texts.iter().map(|text| Say::Packet(text.as_bytes().to_vec())).collect()
}

/// Two harts race for a word in code without jumps, which is one run: a turn ends behind it, hundreds of cycles beyond what the turn was
/// given. Who is halted there goes on there, before it is the other one's turn.
#[test]
fn a_hart_that_is_halted_beyond_its_turn_ends_it() {
    let race = "ld t1, 0(s2); add s4, s4, t1; xor t1, t1, s0; addi t1, t1, 1; sd t1, 0(s2)\n";
    let source = format!(
        "csrr s0, mhartid; la s2, data; li s3, 300
         top: {} stop: {}
         addi s3, s3, -1; bnez s3, top
         slli t0, s0, 3; add t0, t0, s2; sd s4, 8(t0)
         beqz s0, exit
         rest: wfi; j rest
         {EXIT}
         .align 3
         data: .zero 24",
        race.repeat(50),
        race.repeat(50)
    );
    let labels = Program::assemble(BASE, &source).expect("the program assembles").labels;
    let state = |machine: &Machine| {
        let word = |index: u64| machine.ram().read::<u64>(Pa(labels["data"] + 8 * index));
        let harts = machine.harts().iter().map(|hart| (hart.cycle(), hart.model_counts()));
        ([0, 1, 2].map(word), harts.collect::<Vec<_>>())
    };
    for core in ["cva6", "u74"] {
        let ends = |says: &[String]| {
            let mut machine = machine_of(&source, 2, Some(core));
            let went = converse(&mut machine, packets(says));
            assert_eq!(went.end, End::Stop(Stop::Exit { code: 0 }));
            (state(&machine), went.replies.len())
        };
        let (plain, _) = ends(&["D".into()]);
        let mut says = vec![format!("Z0,{:x},4", labels["stop"])];
        says.resize(1000, "vCont;c".into());
        let (stopped, halts) = ends(&says);
        assert!(halts > 600, "{halts}: each pass of each hart");
        assert!(stopped == plain, "{core}: {stopped:?}, {plain:?}");
    }
}

//! What Thumb instructions cost, by the tables in Arm's Technical Reference Manuals of the Cortex-M0 (DDI 0432, 3.3),
//! Cortex-M3 (DDI 0337, 3.3) and Cortex-M4 (DDI 0439, 3.3), from memory without wait states. That loads one behind the
//! other may overlap is left out.

/// A core's table, in cycles.
#[derive(Clone, Copy)]
pub struct Timing {
    /// A load of one register; each further register of a load or store adds one.
    load: u64,
    store: u64,
    /// A branch that is taken, or any other write to the program counter.
    branch: u64,
    /// A multiplication with 32 bits added.
    multiply_add: u64,
    /// A multiplication with a result of 64 bits.
    multiply_long: u64,
    divide: u64,
}

/// With the multiplier of one cycle.
pub const CORTEX_M0: Timing = Timing {
    load: 2,
    store: 2,
    branch: 3,
    multiply_add: 1,
    multiply_long: 1,
    divide: 1,
};
/// The middle of the ranges: 3 to 5 for long multiplications, 2 to 12 for divisions, 1 to 3 to refill the pipeline.
pub const CORTEX_M3: Timing = Timing {
    load: 2,
    store: 2,
    branch: 3,
    multiply_add: 2,
    multiply_long: 4,
    divide: 7,
};
/// As the Cortex-M3, but every multiplication takes one cycle.
pub const CORTEX_M4: Timing = Timing {
    load: 2,
    store: 2,
    branch: 3,
    multiply_add: 1,
    multiply_long: 1,
    divide: 7,
};

/// What an instruction is, as far as the tables tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Load { registers: u32 },
    Store { registers: u32 },
    MultiplyAdd,
    MultiplyLong,
    Divide,
    Other,
}

impl Timing {
    /// The cycles of an instruction that is followed by the one `distance` bytes behind it.
    pub fn cycles(&self, code: [u16; 2], distance: u32) -> u64 {
        let kind = kind(code);
        let own = match kind {
            Kind::Load { registers } => self.load + u64::from(registers.saturating_sub(1)),
            Kind::Store { registers } => self.store + u64::from(registers.saturating_sub(1)),
            Kind::MultiplyAdd => self.multiply_add,
            Kind::MultiplyLong => self.multiply_long,
            Kind::Divide => self.divide,
            Kind::Other => 1,
        };
        if distance == length(code[0]) {
            own
        } else {
            // A branch, or a load of the program counter.
            own + self.branch - 1
        }
    }
}

/// Bytes of an instruction that begins with this halfword.
fn length(first: u16) -> u32 {
    if first >> 11 >= 0b11101 { 4 } else { 2 }
}

fn kind([first, second]: [u16; 2]) -> Kind {
    if length(first) == 2 {
        return short(first);
    }
    let load = first & 0x10 != 0;
    match first {
        _ if first & 0xfe40 == 0xe800 => many(load, second.count_ones()),
        _ if first & 0xfe40 == 0xe840 => many(load, 2),
        _ if first & 0xfe00 == 0xf800 => many(load, 1),
        // With another register than none to add.
        _ if first & 0xff80 == 0xfb00 && second >> 12 != 0xf => Kind::MultiplyAdd,
        _ if first & 0xffd0 == 0xfb90 => Kind::Divide,
        _ if first & 0xff80 == 0xfb80 => Kind::MultiplyLong,
        _ => Kind::Other,
    }
}

/// An instruction of one halfword.
fn short(first: u16) -> Kind {
    let list = (first & 0xff).count_ones();
    match first >> 11 {
        // LDR from behind the program, LDR with a register, with an offset, from the stack.
        0b01001 => many(true, 1),
        0b01010 | 0b01011 => many(first >> 9 & 7 >= 3, 1),
        0b01100 | 0b01110 | 0b10000 | 0b10010 => many(false, 1),
        0b01101 | 0b01111 | 0b10001 | 0b10011 => many(true, 1),
        0b11000 => many(false, list),
        0b11001 => many(true, list),
        _ => match first >> 9 {
            0b1011010 => many(false, list + u32::from(first >> 8 & 1)),
            0b1011110 => many(true, list + u32::from(first >> 8 & 1)),
            _ => Kind::Other,
        },
    }
}

fn many(load: bool, registers: u32) -> Kind {
    if load {
        Kind::Load { registers }
    } else {
        Kind::Store { registers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are those that LLVM's assembler gives for the instruction.
    #[rustfmt::skip]
    const TABLE: [(&str, [u8; 4], Kind); 24] = [
        ("ldr.w r6, [lr, #4]", [0xde, 0xf8, 0x04, 0x60], Kind::Load { registers: 1 }),
        ("ldrd r9, r11, [r6]", [0xd6, 0xe9, 0x00, 0x9b], Kind::Load { registers: 2 }),
        ("ldm.w sp, {r6, r7, r9, r10}", [0x9d, 0xe8, 0xc0, 0x06], Kind::Load { registers: 4 }),
        ("stm.w r9!, {r0-r5, r8}", [0xa9, 0xe8, 0x3f, 0x01], Kind::Store { registers: 7 }),
        ("strd r4, r5, [sp, #12]", [0xcd, 0xe9, 0x03, 0x45], Kind::Store { registers: 2 }),
        ("smlad r0, r9, r6, r0", [0x29, 0xfb, 0x06, 0x00], Kind::MultiplyAdd),
        ("mla r0, r6, r9, r0", [0x06, 0xfb, 0x09, 0x00], Kind::MultiplyAdd),
        ("smmulr r0, r0, r11", [0x50, 0xfb, 0x1b, 0xf0], Kind::Other),
        ("mul r3, r4, r5", [0x04, 0xfb, 0x05, 0xf3], Kind::Other),
        ("smull r9, r0, r0, r11", [0x80, 0xfb, 0x0b, 0x90], Kind::MultiplyLong),
        ("udiv r0, r1, r2", [0xb1, 0xfb, 0xf2, 0xf0], Kind::Divide),
        ("sxtb16 r9, r9, ror #8", [0x2f, 0xfa, 0x99, 0xf9], Kind::Other),
        ("usat r0, #8, r0", [0x80, 0xf3, 0x08, 0x00], Kind::Other),
        ("ldrb r5, [r1, #3]", [0xcd, 0x78, 0, 0], Kind::Load { registers: 1 }),
        ("ldrsb.w r9, [r12, #1]", [0x9c, 0xf9, 0x01, 0x90], Kind::Load { registers: 1 }),
        ("strb.w r0, [r10]", [0x8a, 0xf8, 0x00, 0x00], Kind::Store { registers: 1 }),
        ("push {r6, r7, lr}", [0xc0, 0xb5, 0, 0], Kind::Store { registers: 3 }),
        ("pop {r6, r7}", [0xc0, 0xbc, 0, 0], Kind::Load { registers: 2 }),
        ("ldm r6!, {r4}", [0x10, 0xce, 0, 0], Kind::Load { registers: 1 }),
        ("muls r5, r3, r5", [0x5d, 0x43, 0, 0], Kind::Other),
        ("add lr, r7", [0xbe, 0x44, 0, 0], Kind::Other),
        ("ldr r3, [sp, #4]", [0x01, 0x9b, 0, 0], Kind::Load { registers: 1 }),
        ("ldr r1, [r2, r1]", [0x51, 0x58, 0, 0], Kind::Load { registers: 1 }),
        ("strb r2, [r1, r3]", [0xca, 0x54, 0, 0], Kind::Store { registers: 1 }),
    ];

    #[test]
    fn instructions_are_told_apart() {
        for (text, [a, b, c, d], expected) in TABLE {
            let code = [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])];
            assert_eq!(kind(code), expected, "{text}");
        }
    }

    /// Section 3.3 of the manuals: LDM takes 1 + N, a taken branch 1 + P.
    #[test]
    fn cycles_are_the_tables() {
        let ldm = [0xe89d, 0x06c0];
        assert_eq!(CORTEX_M4.cycles(ldm, 4), 5);
        let branch = [0xd1fa, 0];
        assert_eq!(CORTEX_M4.cycles(branch, 2), 1);
        assert_eq!(CORTEX_M4.cycles(branch, 0u32.wrapping_sub(8)), 3);
        let mla = [0xfb06, 0x0009];
        assert_eq!([CORTEX_M3.cycles(mla, 4), CORTEX_M4.cycles(mla, 4)], [2, 1]);
    }
}

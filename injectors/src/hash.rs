//! Numbers that look random and are the same in every process: for orders and seeds, no secrets.

/// FNV-1a with a final mix (`SplitMix64`'s), stable over versions.
pub(crate) fn hash(text: &str) -> u64 {
    let mixed = text.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
}

//! A program that is written anew leaves the same bytes as one whose every single result was given its form.

use super::super::canonical::rewrite;
use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng},
};
use std::fmt::Write as _;
use wasmtime::{Config, Engine, Instance, Module, Store};

/// Runs a module's function `run` in a plain engine. Its memory afterwards.
fn memory(code: &[u8], canonical: bool) -> Vec<u8> {
    let mut config = Config::new();
    config.cranelift_nan_canonicalization(canonical).relaxed_simd_deterministic(true);
    let engine = Engine::new(&config).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &Module::new(&engine, code).unwrap(), &[]).unwrap();
    instance.get_typed_func::<(), ()>(&mut store, "run").unwrap().call(&mut store, ()).unwrap();
    instance.get_memory(&mut store, "memory").unwrap().data(&store).to_vec()
}

/// What a program is made of: anything that has to do with floats.
struct Writer<'a> {
    random: &'a mut TestRng,
    /// Where the next result is stored, and how many loops there are.
    place: u32,
    loops: u32,
}

const OF_F64: [&str; 10] = ["add", "sub", "mul", "div", "min", "max", "add", "mul", "copysign", "sub"];
const ALONE: [&str; 7] = ["sqrt", "ceil", "floor", "trunc", "nearest", "neg", "abs"];
const VALUES: [&str; 8] = ["0", "-0", "1.5", "-3", "inf", "-inf", "nan:0x5", "-nan:0x7ff"];

impl Writer<'_> {
    fn any(&mut self, most: u32) -> u32 {
        self.random.next_u32() % most
    }

    fn one<'b>(&mut self, of: &[&'b str]) -> &'b str {
        of[self.any(of.len() as u32) as usize]
    }

    /// A scalar of 64 or 32 bits.
    fn scalar(&mut self, kind: &str, depth: u32) -> String {
        let (other, lanes) = if kind == "f64" { ("f32", "f64x2") } else { ("f64", "f32x4") };
        let local = self.any(3);
        if depth == 0 {
            return match self.any(4) {
                0 => format!("({kind}.const {})", self.one(&VALUES)),
                1 => format!("({kind}.load (i32.const {}))", 8 * self.any(16)),
                _ => format!("(local.get ${kind}{local})"),
            };
        }
        let deeper = depth - 1;
        match self.any(14) {
            0..=5 => {
                let (one, other) = (self.scalar(kind, deeper), self.scalar(kind, deeper));
                format!("({kind}.{} {one} {other})", self.one(&OF_F64))
            }
            6 | 7 => format!("({kind}.{} {})", self.one(&ALONE), self.scalar(kind, deeper)),
            8 => {
                let change = if kind == "f64" { "promote_f32" } else { "demote_f64" };
                format!("({kind}.{change} {})", self.scalar(other, deeper))
            }
            9 => {
                let (one, other) = (self.scalar(kind, deeper), self.scalar(kind, deeper));
                format!("(select {one} {other} {})", self.truth(deeper))
            }
            10 => {
                let (one, other) = (self.scalar(kind, deeper), self.scalar(kind, deeper));
                format!("(if (result {kind}) {} (then {one}) (else {other}))", self.truth(deeper))
            }
            11 => format!("(local.tee ${kind}{local} {})", self.scalar(kind, deeper)),
            12 => format!("({lanes}.extract_lane {} {})", self.any(2), self.vector(deeper)),
            _ => format!("(call ${kind} {})", self.scalar(kind, deeper)),
        }
    }

    fn truth(&mut self, depth: u32) -> String {
        format!("(f64.lt {} {})", self.scalar("f64", depth), self.scalar("f64", depth))
    }

    fn vector(&mut self, depth: u32) -> String {
        if depth == 0 {
            return match self.any(3) {
                0 => format!("(v128.load (i32.const {}))", 16 * self.any(8)),
                _ => format!("(local.get $v{})", self.any(2)),
            };
        }
        let deeper = depth - 1;
        match self.any(12) {
            0..=3 => {
                let (one, other) = (self.vector(deeper), self.vector(deeper));
                let does = self.one(&[
                    "f64x2.add",
                    "f64x2.mul",
                    "f64x2.sub",
                    "f32x4.div",
                    "f32x4.add",
                    "f32x4.min",
                    "f64x2.pmax",
                ]);
                format!("({does} {one} {other})")
            }
            4 => {
                let [one, two, three] = [0; 3].map(|_| self.vector(deeper));
                format!(
                    "({} {one} {two} {three})",
                    self.one(&["f64x2.relaxed_madd", "f32x4.relaxed_nmadd", "v128.bitselect"])
                )
            }
            5 => {
                let does = self.one(&[
                    "f64x2.sqrt",
                    "f32x4.floor",
                    "f64x2.neg",
                    "f32x4.abs",
                    "f32x4.demote_f64x2_zero",
                    "f64x2.promote_low_f32x4",
                ]);
                format!("({does} {})", self.vector(deeper))
            }
            6 => format!("(f64x2.splat {})", self.scalar("f64", deeper)),
            7 => format!("(f32x4.replace_lane {} {} {})", self.any(4), self.vector(deeper), self.scalar("f32", deeper)),
            8 => {
                let lanes = self
                    .one(&["8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23", "0 1 2 3 20 21 22 23 8 9 10 11 4 5 6 7"]);
                format!("(i8x16.shuffle {lanes} {} {})", self.vector(deeper), self.vector(deeper))
            }
            9 => format!("(v128.xor {} {})", self.vector(deeper), self.vector(deeper)),
            10 => format!("(local.tee $v{} {})", self.any(2), self.vector(deeper)),
            _ => format!("(f64x2.mul {} {})", self.vector(deeper), self.vector(deeper)),
        }
    }

    fn statements(&mut self, out: &mut String, depth: u32) {
        for _ in 0..3 {
            let place = self.place;
            let _ = match self.any(9) {
                0 => write!(out, "(f64.store (i32.const {place}) {})", self.scalar("f64", 3)),
                1 => write!(out, "(f32.store (i32.const {place}) {})", self.scalar("f32", 3)),
                2 => write!(out, "(v128.store (i32.const {place}) {})", self.vector(3)),
                3 => write!(out, "(i64.store (i32.const {place}) (i64.reinterpret_f64 {}))", self.scalar("f64", 2)),
                4 => write!(out, "(local.set $f64{} {})", self.any(3), self.scalar("f64", 3)),
                5 => write!(out, "(local.set $f32{} {})", self.any(3), self.scalar("f32", 3)),
                6 => write!(out, "(local.set $v{} {})", self.any(2), self.vector(3)),
                7 if depth > 0 => {
                    let number = self.loops;
                    self.loops += 1;
                    let _ =
                        write!(out, "(local.set $i{number} (i32.const 3)) (block (loop (br_if 1 {})", self.truth(1));
                    self.statements(out, depth - 1);
                    let again = format!("(local.tee $i{number} (i32.sub (local.get $i{number}) (i32.const 1)))");
                    write!(out, "(br_if 0 {again})))")
                }
                8 if depth > 0 => {
                    let _ = write!(out, "(if {} (then ", self.truth(2));
                    self.statements(out, depth - 1);
                    write!(out, "(global.set $g {})))", self.scalar("f64", 1))
                }
                _ => write!(out, "(drop {})", self.scalar("f64", 2)),
            };
            self.place += 16;
        }
    }

    fn program(mut self) -> String {
        let mut body = String::new();
        self.statements(&mut body, 3);
        self.statements(&mut body, 3);
        let mut locals = String::new();
        for kind in ["f64", "f32"] {
            for number in 0..3 {
                let _ = write!(locals, "(local ${kind}{number} {kind})");
                let _ =
                    write!(body, "({kind}.store (i32.const {}) (local.get ${kind}{number}))", self.place + 8 * number);
            }
            self.place += 32;
        }
        (0..2).for_each(|number| locals += &format!("(local $v{number} v128)"));
        (0..self.loops).for_each(|number| locals += &format!("(local $i{number} i32)"));
        let _ = write!(body, "(f64.store (i32.const {}) (global.get $g))", self.place);
        format!(
            r#"(module (memory (export "memory") 1) (global $g (mut f64) (f64.const 1))
                (data (i32.const 0) "\00\00\00\00\00\00\f0\3f\00\00\00\00\00\00\f8\ff\05\00\00\00\00\00\f8\7f\00\00\80\7f\01\00\a0\ff")
                (func $f64 (param f64) (result f64) (f64.mul (local.get 0) (f64.const inf)))
                (func $f32 (param f32) (result f32) (local.get 0))
                (func (export "run") {locals} {body}))"#
        )
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn what_is_written_anew_leaves_the_same_bytes(seed in any::<[u8; 32]>()) {
        let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let program = Writer { random: &mut random, place: 256, loops: 0 }.program();
        let code = wat::parse_str(&program).unwrap();
        let (exact, ours) = (memory(&code, true), memory(&rewrite(&code).unwrap(), false));
        prop_assert!(exact == ours, "{}", program);
    }
}

/// How many instructions longer a function has become.
fn added(body: &str) -> usize {
    let text = format!(
        "(module (memory 1) (func (param f64) (result f64) (local f64 v128) (local.set 1 (f64.const 0)) {body} (f64.const 1)))"
    );
    let code = wat::parse_str(&text).unwrap();
    let count = |code: &[u8]| {
        let bodies = wasmparser::Parser::new(0).parse_all(code).filter_map(|payload| match payload.unwrap() {
            wasmparser::Payload::CodeSectionEntry(body) => {
                Some(body.get_operators_reader().unwrap().into_iter().count())
            }
            _ => None,
        });
        bodies.sum::<usize>()
    };
    count(&rewrite(&code).unwrap()) - count(&code)
}

#[test]
fn only_what_can_be_seen_is_given_a_form() {
    // A sum of products in a local, of which only its size matters.
    let sum = "(local.set 1 (f64.add (local.get 1) (f64.mul (local.get 0) (local.get 0))))";
    assert_eq!(added(sum), 0);
    assert_eq!(added(&format!("(loop {sum} (br_if 0 (f64.lt (local.get 1) (f64.const 9))))")), 0);
    assert_eq!(added(&format!("{sum} (drop (f64.neg (local.get 1)))")), 0);
    // Stored, it has one: the sum, and not the product.
    assert_eq!(added(&format!("{sum} (f64.store (i32.const 0) (local.get 1))")), 6);
    assert_eq!(added(&format!("{sum} (return (local.get 1))")), 6);
    assert_eq!(
        added("(f64.store (i32.const 0) (f64.copysign (f64.add (local.get 0) (local.get 0)) (local.get 0)))"),
        6
    );
    assert_eq!(added("(drop (f64.copysign (local.get 0) (f64.add (local.get 0) (local.get 0))))"), 6);
    // What was only copied keeps its bits.
    assert_eq!(added("(f64.store (i32.const 0) (f64.load (i32.const 8))) (return (local.get 0))"), 0);
    // Behind the end of everything nothing matters, and nothing breaks.
    assert_eq!(added("(return (f64.const 1)) (f64.add) (drop) (f64.mul) (local.set 1)"), 0);
}

#[test]
fn what_is_not_valid_is_refused() {
    for text in ["(module (func (result f64) (f64.add (f64.const 1))))", "(module (func (local.set 3 (f64.const 1))))"]
    {
        let code = wat::parse_str(text).unwrap();
        assert!(rewrite(&code).is_err(), "{text}");
        for length in 8..code.len() {
            let _ = rewrite(&code[..length]);
        }
    }
    let empty = wat::parse_str("(module)").unwrap();
    assert_eq!(rewrite(&empty).unwrap(), empty);
}

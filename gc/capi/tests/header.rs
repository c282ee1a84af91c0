//! The header and the Rust definitions say the same: sizes, offsets, constants, and which functions there are with what parameters. And the header
//! compiles without a warning wherever it should.

mod support;

use neap_gc::object::{Header, flags};
use neap_gc::observe::Cause;
use neap_gc_capi::abi::{self, Error};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::mem::{align_of, offset_of, size_of};
use std::process::Command;
use support::{Language, build, compiler, folder, include, run};

fn header() -> String {
    let text = std::fs::read_to_string(include().join("neap_gc.h")).expect("the header");
    // Without comments.
    let mut code = String::new();
    let mut rest = text.as_str();
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").expect("the end of the comment").1;
    }
    // What is for C++ only is the braces around all.
    (code + rest).replace("extern \"C\" {", "").replace("#ifdef __cplusplus\n}", "")
}

/// What C should find, by the expression that says it.
fn expected() -> Vec<(String, u64)> {
    let mut all = Vec::new();
    macro_rules! layout {
        ($($c:literal = $rust:ty { $($field:ident),* })*) => {
            $(
                all.push((format!("sizeof({})", $c), size_of::<$rust>() as u64));
                all.push((format!("_Alignof({})", $c), align_of::<$rust>() as u64));
                $(all.push((format!("offsetof({}, {})", $c, stringify!($field)), offset_of!($rust, $field) as u64));)*
            )*
        };
    }
    layout! {
        "neap_config" = abi::NeapConfig {
            struct_size, abi_version, pause_goal_us, limit_bytes, locals_max, stress, audit_every, poison, ticker
        }
        "neap_type_info" = abi::TypeInfo {
            struct_size, name, shape, reserved, size, offsets, offset_count, weak_offsets, weak_offset_count, stride, length_offset,
            slot_offsets, slot_offset_count, slot_weak_offsets, slot_weak_offset_count, trace, destroy, data
        }
        "neap_stats" = abi::Stats {
            struct_size, used_bytes, mapped_bytes, peak_bytes, idle_bytes, limit_bytes, explicit_bytes, allocated_objects,
            allocated_bytes, young_objects, young_bytes, counted_objects, counted_bytes, cyclic_objects, cyclic_bytes, epochs,
            cycles, finalizers, destructors, stops, urgent_stops, most_units
        }
        "neap_pauses" = abi::PauseSummary { struct_size, count, p50_ns, p99_ns, p999_ns, max_ns, total_ns }
        "neap_audit_report" = abi::Report { struct_size, objects, bytes, corpses, references, decrements }
        "neap_graph_visitor" = abi::Graph { struct_size, root, object, edge, data }
        "struct neap_private_face" = abi::Face { poll, base, top, limit, low }
        "neap_visitor" = abi::Visitor {}
        "neap_releaser" = abi::Releaser {}
        "neap_header" = Header {}
    }
    let mut say = |name: &str, value: u64| all.push((name.to_owned(), value));
    say("offsetof(neap_header, parts.neap_private_flags)", Header::FLAGS_OFFSET as u64);
    say("offsetof(neap_header, parts.neap_private_type)", Header::KIND_OFFSET as u64);
    say("offsetof(neap_header, parts.user)", offset_of!(Header, aux) as u64);
    say("NEAP_PRIVATE_LOGGED", u64::from(flags::LOGGED));
    say("NEAP_PRIVATE_POLL_COLLECT", u64::from(neap_gc::heap::poll::COLLECT));
    say("NEAP_ABI_VERSION", u64::from(abi::ABI_VERSION));
    say("NEAP_TYPE_LOCALS", u64::from(abi::LOCALS));
    say("NEAP_TYPE_WEAK_MAP", u64::from(abi::WEAK_MAP));
    say("NEAP_TYPE_WEAK_ENTRIES", u64::from(abi::WEAK_ENTRIES));
    say("NEAP_TYPES_FIRST", u64::from(abi::WEAK_ENTRIES) + 1);
    say("NEAP_TYPES_END", abi::TYPES as u64);
    for (name, value) in [("PLAIN", abi::PLAIN), ("ARRAY", abi::ARRAY), ("LEAF", abi::LEAF)] {
        say(&format!("NEAP_{name}"), u64::from(value));
    }
    for (name, value) in [("LISTED", abi::ROOT_LISTED), ("HANDLE", abi::ROOT_HANDLE), ("FINALIZER", abi::ROOT_FINALIZER)] {
        say(&format!("NEAP_ROOT_{name}"), u64::from(value));
    }
    let edges = [abi::EDGE_FIELD, abi::EDGE_SLOT, abi::EDGE_LOCAL, abi::EDGE_VALUE, abi::EDGE_KEY, abi::EDGE_WEAK];
    for (name, value) in ["FIELD", "SLOT", "LOCAL", "VALUE", "KEY", "WEAK"].into_iter().zip(edges) {
        say(&format!("NEAP_EDGE_{name}"), u64::from(value));
    }
    for cause in Cause::ALL {
        say(&format!("NEAP_{}", cause.name().replace(' ', "_").to_uppercase()), cause as u64);
    }
    for error in Error::ALL {
        // OutOfMemory is NEAP_OUT_OF_MEMORY.
        let name = format!("{error:?}").chars().fold("NEAP".to_owned(), |mut name, c| {
            if c.is_uppercase() {
                name.push('_');
            }
            name.push(c.to_ascii_uppercase());
            name
        });
        say(&name, error as u64);
    }
    all
}

#[test]
fn sizes_offsets_and_constants_agree() {
    let expected = expected();
    let mut text = String::from("#include \"neap_gc.h\"\n#include <stdio.h>\nint main(void) {\n");
    for (expression, _) in &expected {
        writeln!(text, "    printf(\"%llu\\n\", (unsigned long long)({expression}));").expect("a string");
    }
    text.push_str("    return 0;\n}\n");
    let from = folder().join("layout.c");
    std::fs::write(&from, text).expect("a file");
    let Some(program) = build("layout", &[from], &[]) else { return };
    let output = String::from_utf8(run(&mut Command::new(program)).stdout).expect("numbers");
    let found: Vec<u64> = output.lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(found.len(), expected.len());
    for ((expression, expected), found) in expected.iter().zip(found) {
        assert_eq!(*expected, found, "{expression}");
    }
}

/// Every constant of the header, and every member of its structs, is one that the test above compares.
#[test]
fn nothing_of_the_header_is_left_out() {
    let (header, expected) = (header(), expected());
    let is_compared = |name: &str| expected.iter().any(|(expression, _)| expression == name);
    let mut constants = 0;
    for line in header.lines() {
        let Some(name) = line.trim().strip_prefix("#define NEAP_").and_then(|rest| rest.split_once(' ')) else { continue };
        assert!(is_compared(&format!("NEAP_{}", name.0)), "NEAP_{}", name.0);
        constants += 1;
    }
    for definition in header.split("typedef enum").skip(1) {
        let members = definition.split_once('{').and_then(|(_, rest)| rest.split_once('}')).expect("members").0;
        for member in members.split(',').filter(|member| !member.trim().is_empty()) {
            let name = member.split('=').next().expect("a name").trim();
            assert!(is_compared(name), "{name}");
            constants += 1;
        }
    }
    assert!(constants > 40, "{constants}");
    let structs = ["neap_config", "neap_type_info", "neap_stats", "neap_pauses", "neap_audit_report", "neap_graph_visitor"];
    for name in structs.iter().copied().chain(["neap_private_face"]) {
        let start = header.find(&format!("struct {name} {{")).unwrap_or_else(|| panic!("{name} is defined"));
        let members = &header[start..start + header[start..].find("\n}").or(header[start..].find("};")).expect("an end")];
        let named = if name == "neap_private_face" { "struct neap_private_face" } else { name };
        for member in members.lines().skip(1).map(str::trim).filter(|line| line.ends_with(';')) {
            // Of a function pointer the name stands in its own parentheses.
            let member = match member.split_once("(*") {
                Some((_, rest)) => rest.split_once(')').expect("a name").0,
                None => member.trim_end_matches(';').rsplit([' ', '*']).next().expect("a name"),
            };
            assert!(is_compared(&format!("offsetof({named}, {member})")), "{named}.{member}");
        }
    }
}

/// The functions that the header declares without defining them: name, and the types of what they return and take.
fn declared() -> BTreeMap<String, Vec<String>> {
    let header = header();
    // What stands in braces are definitions; declarations end in a semicolon.
    let (mut depth, mut outside) = (0, String::new());
    for c in header.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n").chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if depth == 0 => outside.push(c),
            _ => {}
        }
        if c == '}' && depth == 0 {
            outside.push(';');
        }
    }
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let type_of = |parameter: &str| {
        let parameter = squeeze(parameter);
        let name = parameter.len() - parameter.rsplit([' ', '*']).next().map_or(0, str::len);
        parameter[..name].trim().to_owned()
    };
    let mut all = BTreeMap::new();
    for declaration in outside.split(';').map(str::trim).filter(|d| !d.starts_with("typedef") && !d.contains("static inline")) {
        let Some((head, parameters)) = declaration.split_once('(') else { continue };
        let parameters = parameters.trim_end_matches(')');
        let head = squeeze(head);
        let name = head.rsplit([' ', '*']).next().expect("a name");
        let mut types = vec![head[..head.len() - name.len()].trim().to_owned()];
        types.extend(parameters.split(',').filter(|p| p.trim() != "void").map(type_of));
        all.insert(name.to_owned(), types);
    }
    all
}

/// The same of the functions that the sources export, with the types of Rust.
fn exported() -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    let sources = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).expect("the sources");
    for file in sources {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        for function in text.split("#[unsafe(no_mangle)]").skip(1) {
            let (_, signature) = function.split_once("extern \"C\" fn ").expect("a function of C");
            let (name, rest) = signature.split_once('(').expect("parameters");
            let (parameters, rest) = rest.split_once(')').expect("the end of the parameters");
            let returned = rest.split_once('{').expect("a body").0.trim().trim_start_matches("->").trim();
            let mut types = vec![if returned.is_empty() { "()" } else { returned }.to_owned()];
            let parameters = parameters.split(',').map(str::trim).filter(|p| !p.is_empty());
            types.extend(parameters.map(|p| p.split_once(": ").expect("a type").1.to_owned()));
            all.insert(name.to_owned(), types);
        }
    }
    all
}

/// What a type of C is in Rust.
fn in_rust(c: &str) -> &'static [&'static str] {
    match c {
        "void" => &["()"],
        "neap_error" => &["Error", "u32"],
        "const char *" => &["*const c_char"],
        "char *" => &["*mut c_char"],
        "int" => &["c_int"],
        "int *" => &["*mut c_int"],
        "uint32_t" | "neap_cause" => &["u32"],
        "uint64_t" => &["u64"],
        "size_t" => &["usize"],
        "size_t *" => &["*mut usize"],
        "neap_type" => &["u8"],
        "neap_type *" => &["*mut u8"],
        "neap_heap *" => &["*mut NeapHeap"],
        "neap_heap **" => &["*mut *mut NeapHeap"],
        "void *" => &["*mut c_void", "Word", "*mut *mut c_void"],
        "const void *" => &["*const c_void", "*const *mut c_void"],
        "void **" => &["*mut *mut c_void", "*mut Word"],
        "const neap_config *" => &["*const NeapConfig"],
        "const neap_type_info *" => &["*const TypeInfo"],
        "neap_roots_fn" => &["Option<RootsFn>"],
        "neap_object_fn" => &["Option<ObjectFn>"],
        "neap_handle *" => &["*mut NeapHandle"],
        "const neap_handle *" => &["*const NeapHandle"],
        "neap_handle **" => &["*mut *mut NeapHandle"],
        "neap_stats *" => &["*mut Stats"],
        "neap_pauses *" => &["*mut PauseSummary"],
        "neap_audit_report *" => &["*mut Report"],
        "const neap_graph_visitor *" => &["*const Graph"],
        _ => panic!("a type that the test does not know: {c}"),
    }
}

#[test]
fn the_functions_are_the_declared_ones() {
    let (declared, exported) = (declared(), exported());
    assert!(declared.len() > 40, "{}", declared.len());
    assert_eq!(declared.keys().collect::<Vec<_>>(), exported.keys().collect::<Vec<_>>());
    for (name, c) in &declared {
        let rust = &exported[name];
        assert_eq!(c.len(), rust.len(), "{name}: {c:?} and {rust:?}");
        for (c, rust) in c.iter().zip(rust) {
            assert!(in_rust(c).contains(&rust.as_str()), "{name}: {c} and {rust}");
        }
    }
    // The library has each of them under its name.
    let mut text = String::from("#include \"neap_gc.h\"\ntypedef void (*any)(void);\nany all[] = {\n");
    declared.keys().for_each(|name| writeln!(text, "    (any){name},").expect("a string"));
    text.push_str("};\nint main(void) { return all[0] == (any)0; }\n");
    let from = folder().join("all.c");
    std::fs::write(&from, text).expect("a file");
    if let Some(program) = build("all", &[from], &[]) {
        run(&mut Command::new(program));
    }
}

#[test]
fn the_header_compiles_without_warnings() {
    let from = folder().join("alone.c");
    std::fs::write(&from, "#include \"neap_gc.h\"\nint f(void);\nint f(void) { return 0; }\n").expect("a file");
    for (language, standards) in [(Language::C, ["-std=c11", "-std=c17"]), (Language::Cpp, ["-std=c++17", "-std=c++20"])] {
        for standard in standards {
            for level in ["-O0", "-O2"] {
                let Some(mut cc) = compiler(language) else { continue };
                cc.args([standard, level, "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wshadow", "-Wconversion", "-I"])
                    .arg(include());
                let as_what = if language == Language::C { "c" } else { "c++" };
                run(cc.args(["-x", as_what, "-c"]).arg(&from).arg("-o").arg(folder().join("alone.o")));
            }
        }
    }
}

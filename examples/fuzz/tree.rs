//! Programs as trees of text, of which parts can be taken away without knowing any Lua: that is how a program that shows
//! a difference is made small. Imports nothing of the project.

/// A piece of a program.
#[derive(Clone, Debug)]
pub enum Node {
    Text(String),
    /// A string, written as a literal.
    Bytes(Vec<u8>),
    /// What can be replaced by a constant, or by an expression in it.
    Expr(Vec<Node>),
    /// What can be left out of its block, or be replaced by the statements of a block in it.
    Stmt(Vec<Node>),
    /// Statements.
    Block(Vec<Node>),
}

impl From<&str> for Node {
    fn from(text: &str) -> Node {
        Node::Text(text.to_owned())
    }
}

impl From<&String> for Node {
    fn from(text: &String) -> Node {
        Node::Text(text.clone())
    }
}

impl From<String> for Node {
    fn from(text: String) -> Node {
        Node::Text(text)
    }
}

macro_rules! expr {
    ($($part:expr),* $(,)?) => { Node::Expr(vec![$(Node::from($part)),*]) };
}

macro_rules! stmt {
    ($($part:expr),* $(,)?) => { Node::Stmt(vec![$(Node::from($part)),*]) };
}

pub(crate) use {expr, stmt};

impl Node {
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Node::Text(text) => out.push_str(text),
            Node::Bytes(bytes) => out.push_str(&literal(bytes)),
            Node::Expr(parts) | Node::Stmt(parts) => parts.iter().for_each(|part| part.write(out)),
            Node::Block(statements) => {
                for statement in statements {
                    statement.write(out);
                    out.push('\n');
                }
            }
        }
    }

    fn children(&self) -> &[Node] {
        match self {
            Node::Text(_) | Node::Bytes(_) => &[],
            Node::Expr(parts) | Node::Stmt(parts) | Node::Block(parts) => parts,
        }
    }

    fn children_mut(&mut self) -> &mut [Node] {
        match self {
            Node::Text(_) | Node::Bytes(_) => &mut [],
            Node::Expr(parts) | Node::Stmt(parts) | Node::Block(parts) => parts,
        }
    }

    fn at(&self, path: &[usize]) -> &Node {
        path.iter().fold(self, |node, &i| &node.children()[i])
    }

    fn at_mut(&mut self, path: &[usize]) -> &mut Node {
        path.iter().fold(self, |node, &i| &mut node.children_mut()[i])
    }

    fn paths(&self, here: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
        found.push(here.clone());
        for (i, child) in self.children().iter().enumerate() {
            here.push(i);
            child.paths(here, found);
            here.pop();
        }
    }
}

/// A literal of Lua that is read back as these bytes.
pub fn literal(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend(['\\', byte as char]),
            b' '..=b'~' => out.push(byte as char),
            _ => out.push_str(&format!("\\{byte:03}")),
        }
    }
    out.push('"');
    out
}

/// The fewest and smallest programs found for which `fails` holds as it does for `programs`, after at most `tries` attempts.
pub fn minimise(programs: &[Node], mut tries: usize, mut fails: impl FnMut(&[Node]) -> bool) -> Vec<Node> {
    let mut attempt = |candidate: &[Node]| {
        let left = tries > 0;
        tries -= usize::from(left);
        left && fails(candidate)
    };
    let mut best = programs.to_vec();
    let fewer = |best: &[Node]| cuts(best.len()).map(|(from, to)| without(best, from, to)).collect::<Vec<_>>();
    while let Some(found) = fewer(&best).into_iter().find(|fewer| !fewer.is_empty() && attempt(fewer)) {
        best = found;
    }
    for i in 0..best.len() {
        let mut all = best.clone();
        best[i] = minimise_one(&best[i], |candidate| {
            all[i] = candidate.clone();
            attempt(&all)
        });
    }
    best
}

/// The smallest tree found for which `fails` holds as it does for `tree`.
fn minimise_one(tree: &Node, mut fails: impl FnMut(&Node) -> bool) -> Node {
    let mut best = tree.clone();
    loop {
        let mut paths = Vec::new();
        best.paths(&mut Vec::new(), &mut paths);
        let mut improved = false;
        for path in paths {
            // An earlier step may have taken this part away; the next round looks at what is left.
            if !exists(&best, &path) {
                continue;
            }
            if let Some(found) = smaller(&best, &path).into_iter().find(|candidate| fails(candidate)) {
                best = found;
                improved = true;
            }
        }
        if !improved {
            return best;
        }
    }
}

fn exists(tree: &Node, path: &[usize]) -> bool {
    let mut node = tree;
    path.iter().all(|&i| match node.children().get(i) {
        Some(child) => {
            node = child;
            true
        }
        None => false,
    })
}

/// The trees in which the node at `path` is something less, the boldest first.
fn smaller(tree: &Node, path: &[usize]) -> Vec<Node> {
    let replaced = |with: Node| {
        let mut copy = tree.clone();
        *copy.at_mut(path) = with;
        copy
    };
    match tree.at(path) {
        Node::Text(_) | Node::Stmt(_) => Vec::new(),
        Node::Bytes(bytes) => cuts(bytes.len()).map(|(from, to)| replaced(Node::Bytes(without(bytes, from, to)))).collect(),
        Node::Block(statements) => {
            let mut found: Vec<Node> =
                cuts(statements.len()).map(|(from, to)| replaced(Node::Block(without(statements, from, to)))).collect();
            for (i, statement) in statements.iter().enumerate() {
                for part in statement.children() {
                    if let Node::Block(inner) = part {
                        let mut flat = statements.clone();
                        flat.splice(i..=i, inner.iter().cloned());
                        found.push(replaced(Node::Block(flat)));
                    }
                }
            }
            found
        }
        Node::Expr(parts) => {
            let mut found = Vec::new();
            // What is as small as can be stays.
            if tree.at(path).text().len() > 2 {
                found.push(replaced(Node::from("1")));
            }
            found.extend(parts.iter().filter(|part| matches!(part, Node::Expr(_))).map(|part| replaced(part.clone())));
            found
        }
    }
}

/// The ranges to leave out of a list: halves first, single elements last.
fn cuts(len: usize) -> impl Iterator<Item = (usize, usize)> {
    std::iter::successors((len > 0).then_some(len), |&size| (size > 1).then_some(size / 2))
        .flat_map(move |size| (0..len).step_by(size).map(move |from| (from, (from + size).min(len))))
}

fn without<T: Clone>(list: &[T], from: usize, to: usize) -> Vec<T> {
    [&list[..from], &list[to..]].concat()
}

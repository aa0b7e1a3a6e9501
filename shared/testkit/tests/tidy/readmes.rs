//! A page and its translation say the same: the same headings, level by level, and the same commands.

/// Where they differ.
pub(crate) fn differences(en: &str, ja: &str) -> Vec<String> {
    let (en, ja) = (Outline::of(en), Outline::of(ja));
    let mut faults = Vec::new();
    if en.headings != ja.headings {
        faults.push(format!("headings by level: {:?} in English, {:?} in Japanese", en.headings, ja.headings));
    }
    if en.blocks.len() != ja.blocks.len() {
        faults.push(format!("{} blocks in English, {} in Japanese", en.blocks.len(), ja.blocks.len()));
    }
    for (en, ja) in en.blocks.iter().zip(&ja.blocks).filter(|(en, ja)| en != ja) {
        faults.push(format!("these commands differ:\n{}\n--- and\n{}", en.join("\n"), ja.join("\n")));
    }
    if en.open || ja.open {
        faults.push("a block is not closed".to_owned());
    }
    faults
}

struct Outline {
    headings: Vec<usize>,
    /// The commands of each block, comments aside, since those are translated.
    blocks: Vec<Vec<String>>,
    open: bool,
}

impl Outline {
    fn of(text: &str) -> Self {
        let mut outline = Self { headings: Vec::new(), blocks: Vec::new(), open: false };
        let mut commands = false;
        for line in text.lines() {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                outline.open = !outline.open;
                if outline.open {
                    commands = matches!(language.trim(), "sh" | "bash" | "console" | "shell");
                    outline.blocks.push(Vec::new());
                }
            } else if outline.open {
                let command = line.split(" #").next().unwrap_or_default().trim();
                let is_command = commands && !command.is_empty() && !command.starts_with('#');
                if let Some(block) = outline.blocks.last_mut().filter(|_| is_command) {
                    block.push(command.to_owned());
                }
            } else {
                let level = line.chars().take_while(|c| *c == '#').count();
                if level > 0 && line[level..].starts_with(' ') {
                    outline.headings.push(level);
                }
            }
        }
        outline
    }
}

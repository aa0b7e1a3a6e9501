//! Commands at a terminal, which `script` (of bsdutils) makes.

use std::{
    io::{Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use super::eventually;

/// A command at a terminal of its own: what is written to its input is typed there.
pub struct AtTerminal {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl AtTerminal {
    /// At one that does not say how wide it is.
    pub fn start(command: &Command) -> Self {
        Self::of(command, String::new())
    }

    /// At one of so many columns.
    pub fn start_within(columns: u16, command: &Command) -> Self {
        Self::of(command, format!("stty cols {columns}; "))
    }

    fn of(command: &Command, before: String) -> Self {
        let words = [command.get_program()].into_iter().chain(command.get_args());
        let line: Vec<&str> = words.map(|word| word.to_str().unwrap()).collect();
        let mut script = Command::new("script");
        script.args(["-qec", &format!("{before}{}", line.join(" ")), "/dev/null"]).env_clear();
        script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (shown, mut screen) = (Arc::new(Mutex::new(Vec::<u8>::new())), child.stdout.take().unwrap());
        let seen = Arc::clone(&shown);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(read @ 1..) = screen.read(&mut buffer) {
                seen.lock().unwrap().extend(&buffer[..read]);
            }
        });
        Self { child, shown, reader: Some(reader) }
    }

    pub fn types(&mut self, keys: &[u8]) -> std::io::Result<()> {
        self.child.stdin.as_mut().unwrap().write_all(keys)
    }

    /// What it has shown by now.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    pub fn shows(&self, wanted: &str) {
        eventually(|| {
            let shown = self.shown();
            if shown.contains(wanted) { Ok(()) } else { Err(format!("{wanted:?} is not in {shown:?}")) }
        });
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub fn ends_well(&mut self) {
        eventually(|| match self.ended() {
            Some(status) if status.success() => Ok(()),
            other => Err(format!("it has ended: {other:?}")),
        });
    }

    /// All that it shows until it ends, well or not.
    pub fn shows_in_all(mut self) -> String {
        eventually(|| self.ended().map(drop).ok_or_else(|| "it has not ended".to_owned()));
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.shown()
    }
}

impl Drop for AtTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

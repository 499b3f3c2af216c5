//! Lua as the store has it: version 5.1, its libraries `redis`, `cmsgpack` and `struct`, and no way
//! to leave anything behind for the next script.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use mlua::{Function, Lua, LuaOptions, MultiValue, Result, StdLib, Table, Value};
use sha1_smol::Sha1;
use xxhash_rust::xxh3::xxh3_64;

use super::database::{Command, Database};
use super::reply::Reply;
use super::{message_pack, structs};

/// What a script's chunk is called in errors.
const CHUNK: &str = "@user_script";

/// The functions that scripts see; `ask` does a command and never raises.
const LIBRARY: &str = r"
local ask, sha1hex, place = ...
local redis = { sha1hex = sha1hex, pcall = ask }
function redis.call(...)
  local reply = ask(...)
  if type(reply) == 'table' and reply.err then error(reply) end
  return reply
end
function redis.error_reply(text) return { err = text } end
function redis.status_reply(text) return { ok = text } end
local function explained(raised)
  if type(raised) ~= 'table' then raised = { err = 'ERR ' .. tostring(raised) } end
  raised.line = place()
  return raised
end
local function run(script) return xpcall(script, explained) end
return redis, run
";

/// Nothing that a script makes outlives it.
const GUARD: &str = r"
setmetatable(_G, {
  __newindex = function(_, name)
    error('Attempt to modify a readonly table script: ' .. tostring(name), 2)
  end,
  __index = function(_, name)
    error('Script attempted to access nonexistent global variable \'' .. tostring(name) .. '\'', 2)
  end,
})
";

/// A script while it runs.
#[derive(Default)]
struct Running {
    database: Database,
    repeated: Vec<Command>,
    is_read_only: bool,
}

/// What a script did.
pub(super) struct Ran {
    pub(super) reply: Reply,
    /// What must be repeated elsewhere to get the same.
    pub(super) repeated: Vec<Command>,
}

/// A script that can be run.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) sha: String,
    /// Its first line says that it has flags.
    pub(super) is_declared: bool,
    pub(super) allows_oom: bool,
    function: Function,
}

/// The interpreter. Scripts are compiled once.
pub(crate) struct Interpreter {
    lua: Lua,
    running: Rc<RefCell<Running>>,
    run: Function,
    /// By length and hash of the source: that is faster found out than its name.
    compiled: RefCell<BTreeMap<(usize, u64), Rc<Script>>>,
}

impl Interpreter {
    pub(crate) fn new() -> Self {
        Self::build().unwrap()
    }

    fn build() -> Result<Self> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        let running = Rc::<RefCell<Running>>::default();
        let asked = Rc::clone(&running);
        let ask = lua.create_function(move |lua, args: MultiValue| {
            let reply = ask(lua, &mut asked.borrow_mut(), args)?;
            to_lua(lua, reply)
        })?;
        let sha1hex =
            lua.create_function(|_, text: mlua::LuaString| Ok(sha1_hex(&text.as_bytes())))?;
        let place = lua.create_function(|lua, ()| Ok(line(lua)))?;
        let library = lua.load(LIBRARY).set_name("@library");
        let (redis, run): (Table, Function) = library.call((ask, sha1hex, place))?;
        let globals = lua.globals();
        globals.set("redis", redis)?;
        globals.set("cmsgpack", message_pack::library(&lua)?)?;
        globals.set("struct", structs::library(&lua)?)?;
        lua.load(GUARD).exec()?;
        Ok(Self {
            lua,
            running,
            run,
            compiled: RefCell::default(),
        })
    }

    /// Compiles a script; what is wrong with it otherwise.
    pub(super) fn compile(&self, source: &Bytes) -> std::result::Result<Rc<Script>, String> {
        let key = (source.len(), xxh3_64(source));
        if let Some(script) = self.compiled.borrow().get(&key) {
            return Ok(Rc::clone(script));
        }
        let text = std::str::from_utf8(source).unwrap();
        // The first line may be no Lua, but the others keep their numbers.
        let lines = text
            .split_once('\n')
            .filter(|(first, _)| first.starts_with("#!"));
        let body = lines.map_or_else(|| text.to_owned(), |(_, rest)| format!("\n{rest}"));
        let function = self.lua.load(body).set_name(CHUNK).into_function();
        let first = text.lines().next().unwrap_or_default();
        let script = Rc::new(Script {
            sha: sha1_hex(source),
            is_declared: first.starts_with("#!lua"),
            allows_oom: first.contains("allow-oom"),
            function: function.map_err(|error| error.to_string())?,
        });
        self.compiled.borrow_mut().insert(key, Rc::clone(&script));
        Ok(script)
    }

    /// Runs a compiled script over a database.
    pub(super) fn run(
        &self,
        script: &Script,
        database: &mut Database,
        (keys, args): (&[Bytes], &[Bytes]),
        is_read_only: bool,
    ) -> Ran {
        *self.running.borrow_mut() = Running {
            database: std::mem::take(database),
            repeated: Vec::new(),
            is_read_only,
        };
        let returned = self.called(script, keys, args);
        let running = std::mem::take(&mut *self.running.borrow_mut());
        *database = running.database;
        Ran {
            reply: returned.unwrap_or_else(|error| Reply::error(format!("ERR {error}"))),
            repeated: running.repeated,
        }
    }

    fn called(&self, script: &Script, keys: &[Bytes], args: &[Bytes]) -> Result<Reply> {
        for (name, values) in [("KEYS", keys), ("ARGV", args)] {
            let texts = values.iter().map(|text| self.lua.create_string(text));
            let texts = texts.collect::<Result<Vec<_>>>()?;
            self.lua.globals().raw_set(name, texts)?;
        }
        let (is_done, value): (bool, Value) = self.run.call(&script.function)?;
        if is_done {
            return from_lua(&value);
        }
        let Value::Table(raised) = value else {
            return Ok(Reply::error("ERR unknown error"));
        };
        let (what, line): (String, Option<usize>) = (raised.get("err")?, raised.get("line")?);
        let place = line.map_or_else(String::new, |line| format!(", on {CHUNK}:{line}."));
        Ok(Reply::error(format!(
            "{what} script: {}{place}",
            script.sha
        )))
    }
}

/// The line of the script that runs now.
fn line(lua: &Lua) -> Option<usize> {
    for level in 0.. {
        let place = lua.inspect_stack(level, |frame| {
            let is_script = frame.source().source.as_deref() == Some(CHUNK);
            is_script.then(|| frame.current_line()).flatten()
        })?;
        if place.is_some() {
            return place;
        }
    }
    None
}

fn sha1_hex(bytes: &[u8]) -> String {
    Sha1::from(bytes).digest().to_string()
}

/// Does one command of a script.
fn ask(lua: &Lua, running: &mut Running, args: MultiValue) -> Result<Reply> {
    let mut command = Command::new();
    for value in args {
        let is_text = matches!(
            value,
            Value::String(_) | Value::Integer(_) | Value::Number(_)
        );
        let text = if is_text { argument(lua, value)? } else { None };
        let Some(text) = text else {
            let what = "ERR Lua redis lib command arguments must be strings or integers";
            return Ok(Reply::error(what));
        };
        command.push(text);
    }
    let known = command
        .first()
        .and_then(|name| super::database::known(name));
    let Some(known) = known else {
        return Ok(Reply::error("ERR Unknown Redis command called from script"));
    };
    if known.is_write && running.is_read_only {
        let what = "READONLY You can't write against a read only replica.";
        return Ok(Reply::error(what));
    }
    if command.len() < known.least {
        let what = "ERR Wrong number of args calling Redis command from script";
        return Ok(Reply::error(what));
    }
    let (reply, repeated) = running.database.execute(&command);
    running.repeated.extend(repeated);
    Ok(reply)
}

/// A number is written with 17 digits here, whatever `..` would make of it.
fn argument(lua: &Lua, value: Value) -> Result<Option<Bytes>> {
    let text = match value {
        Value::Integer(number) => return Ok(Some(number.to_string().into())),
        Value::Number(number) => {
            let format: Function = lua.globals().get::<Table>("string")?.get("format")?;
            Some(format.call(("%.17g", number))?)
        }
        text => lua.coerce_string(text)?,
    };
    Ok(text.map(|text| Bytes::copy_from_slice(&text.as_bytes())))
}

/// A reply as scripts see it.
fn to_lua(lua: &Lua, reply: Reply) -> Result<Value> {
    let single = |field: &str, text: &str| {
        let table = lua.create_table()?;
        table.raw_set(field, text)?;
        Ok(Value::Table(table))
    };
    match reply.flat() {
        Reply::Status(text) => single("ok", text),
        Reply::Error(text) => single("err", &text),
        #[expect(
            clippy::as_conversions,
            clippy::cast_precision_loss,
            reason = "numbers of Lua are doubles"
        )]
        Reply::Int(number) => Ok(Value::Number(number as f64)),
        Reply::Double(number) => {
            let text = super::reply::score(number);
            Ok(Value::String(lua.create_string(text)?))
        }
        Reply::Bulk(bytes) => Ok(Value::String(lua.create_string(&bytes)?)),
        Reply::Nil | Reply::Map(_) | Reply::Pairs(_) => Ok(Value::Boolean(false)),
        Reply::Array(items) | Reply::Push(items) => {
            let items = items.into_iter().map(|item| to_lua(lua, item));
            let items = items.collect::<Result<Vec<_>>>()?;
            Ok(Value::Table(lua.create_sequence_from(items)?))
        }
    }
}

/// What a script returns as a reply: a number loses its fraction, and a nil ends a list.
fn from_lua(value: &Value) -> Result<Reply> {
    Ok(match value {
        Value::String(text) => Reply::bulk(text.as_bytes()),
        Value::Integer(number) => Reply::Int(*number),
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            reason = "numbers of Lua are doubles"
        )]
        Value::Number(number) => Reply::Int(*number as i64),
        Value::Boolean(true) => Reply::Int(1),
        Value::Table(table) => from_table(table)?,
        _ => Reply::Nil,
    })
}

fn from_table(table: &Table) -> Result<Reply> {
    if let Some(error) = table.raw_get::<Option<String>>("err")? {
        return Ok(Reply::Error(error));
    }
    if table.raw_get::<Option<String>>("ok")?.is_some() {
        return Ok(Reply::OK);
    }
    let mut items = Vec::new();
    for at in 1.. {
        match table.raw_get(at)? {
            Value::Nil => break,
            value => items.push(from_lua(&value)?),
        }
    }
    Ok(Reply::Array(items))
}

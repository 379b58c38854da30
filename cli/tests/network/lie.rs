//! What a node that lies makes of a message.

use serde_json::{Value, json};

use super::proxy::result;

/// Changes one character of the longest text, or a number.
pub fn change(message: &mut Value) {
    if let Some(result) = result(message) {
        change_value(result);
    }
}

fn change_value(value: &mut Value) {
    match value {
        Value::Null => *value = json!("0x00"),
        Value::Bool(truth) => *truth = !*truth,
        Value::Number(number) => {
            let more = number.as_u64().unwrap_or_default() + 1;
            *value = json!(more);
        }
        Value::String(text) => *text = changed(text),
        Value::Array(items) => match items.iter_mut().max_by_key(|item| item.to_string().len()) {
            Some(longest) => change_value(longest),
            None => items.push(json!("0x00")),
        },
        Value::Object(members) => {
            let longest = members.values_mut().max_by_key(|member| member.to_string().len());
            longest.into_iter().for_each(change_value);
        }
    }
}

fn changed(text: &str) -> String {
    let at = text.chars().count() * 2 / 3;
    let other = |c| if c == '1' { '2' } else { '1' };
    text.chars().enumerate().map(|(index, c)| if index == at { other(c) } else { c }).collect()
}

/// The node says that there is nothing.
pub fn erase(message: &mut Value) {
    if let Some(result) = result(message) {
        *result = Value::Null;
    }
}

/// The node refuses the request.
pub fn refuse(message: &mut Value) {
    let Some(message) = message.as_object_mut() else { return };
    if message.remove("result").is_some() {
        message.insert("error".into(), json!({ "code": -32_000, "message": "not today" }));
    }
}

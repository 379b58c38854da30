//! File names that authors chose: shortens them, and makes them safe for this machine's file system.

use unicode_normalization::char::is_combining_mark;

/// A longer extension counts as part of the name.
const MAX_EXTENSION_BYTES: usize = 16;

/// Shortens a name to at most `bytes` bytes, which file systems count. Cuts its end but keeps its extension, and never
/// separates a character from its marks.
pub fn shortened(name: &str, bytes: usize) -> String {
    if name.len() <= bytes {
        return name.into();
    }
    let extension = name.rfind('.').map_or("", |dot| &name[dot..]);
    let keeps = (2..=MAX_EXTENSION_BYTES).contains(&extension.len()) && extension.len() < bytes;
    let extension = if keeps { extension } else { "" };
    let mut end = bytes - extension.len();
    let begins_character =
        |at: usize| name.is_char_boundary(at) && !name[at..].chars().next().is_some_and(joins);
    while end > 0 && !begins_character(end) {
        end -= 1;
    }
    format!("{}{extension}", &name[..end])
}

/// Makes an author's name safe for a file within a folder, with at most `bytes` bytes. Removes folders; keeps letters,
/// their marks, digits, spaces, `.`, `-` and `_`, and replaces anything else by `_`. None if no name is left.
pub fn harmless(name: &str, bytes: usize) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next()?;
    let safe = |c: char| c.is_alphanumeric() || joins(c) || matches!(c, '.' | '-' | '_' | ' ');
    let kept: String = last.chars().map(|c| if safe(c) { c } else { '_' }).collect();
    let kept = shortened(&kept, bytes);
    (!kept.trim_matches(['.', ' ']).is_empty()).then_some(kept)
}

/// Whether a character belongs to the one before it: accents, vowel signs, and the two invisible joiners
/// that Persian and the scripts of India need within words.
fn joins(c: char) -> bool {
    is_combining_mark(c) || matches!(c, '\u{200c}' | '\u{200d}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authors_file_name_stays_within_the_folder() {
        let harmless = |name| harmless(name, 180);
        assert_eq!(harmless("CT_small.dcm").as_deref(), Some("CT_small.dcm"));
        assert_eq!(harmless("../../etc/passwd").as_deref(), Some("passwd"));
        assert_eq!(harmless("c:\\x\\scan 1.dcm").as_deref(), Some("scan 1.dcm"));
        assert_eq!(harmless("a\nb\u{202e}").as_deref(), Some("a_b_"));
        assert_eq!(harmless(".."), None);
        assert_eq!(harmless(""), None);
    }

    #[test]
    fn words_of_every_script_keep_their_marks() {
        for name in
            ["हिन्दी रिपोर्ट.pdf", "ตรวจเลือด.dcm", "e\u{301}te\u{301}.pdf", "می\u{200c}خواهم.txt"]
        {
            assert_eq!(harmless(name, 180).as_deref(), Some(name));
        }
    }

    #[test]
    fn a_long_name_is_cut_by_bytes_and_keeps_its_extension() {
        let name = "胸".repeat(80) + ".dcm";
        assert_eq!(shortened(&name, 180), "胸".repeat(58) + ".dcm");
        assert_eq!(shortened(&name, 244), name);
        let long = format!("scan.{}", "x".repeat(300));
        assert_eq!(shortened(&long, 180).len(), 180);
        // Never within a character, nor between it and its marks.
        let accents = "e\u{301}".repeat(100);
        for bytes in 1..12 {
            let cut = shortened(&accents, bytes);
            assert!(cut.len() <= bytes && cut.len().is_multiple_of(3), "{bytes}: {cut:?}");
        }
        assert_eq!(shortened(".profile-of-mine", 5), ".prof");
    }
}

//! Suggestions for unknown words: "did you mean ...?"

/// Minimum similarity of two words: that of clap, so that its suggestions and these agree.
const ALIKE: f64 = 0.7;

/// The known word that is most similar to this one, ignoring case; none if none is similar.
pub fn most_similar<'a>(
    unknown: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let unknown = unknown.to_lowercase();
    let likeness = |word: &str| strsim::jaro(&unknown, &word.to_lowercase());
    let rated = known.into_iter().map(|word| (likeness(word), word));
    let best = rated.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (best.0 > ALIKE).then_some(best.1)
}

/// A suggestion for the end of a message about an unknown word, beginning with a semicolon; empty if no word is
/// similar.
pub fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    most_similar(unknown, known).map_or(String::new(), |word| format!("; did you mean {word}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_word_is_recognized_and_a_different_one_is_not() {
        let known = ["summary", "diagnosis", "prescription", "report"];
        assert_eq!(most_similar("diagnosys", known), Some("diagnosis"));
        assert_eq!(most_similar("Raport", known), Some("report"));
        assert_eq!(most_similar("xylophone", known), None);
        assert_eq!(most_similar("report", []), None);
        assert_eq!(did_you_mean("sumary", known), "; did you mean summary?");
        assert_eq!(did_you_mean("xylophone", known), "");
    }
}

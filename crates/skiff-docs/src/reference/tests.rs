//! What a reference page says of a table.

use skiff_schema::grammar::{Effect, Field, Form, Record};

use super::{Reference, Top};
use crate::example::FileOf;

const fn field(name: &'static str, form: Form) -> Field {
    Field {
        name,
        form,
        about: "About it",
        default: "",
        example: "",
        effect: Effect::Acts,
        is_required: false,
    }
}

fn top(title: &'static str, record: &'static Record) -> Top {
    Top {
        title,
        record,
        kind: FileOf::Task,
    }
}

static INNER: Record = Record {
    name: "inner",
    fields: &[
        Field {
            is_required: true,
            example: "path: /a",
            ..field("path", Form::Text)
        },
        Field {
            example: "labels:\n  a: b",
            effect: Effect::Ignored("nobody looks"),
            ..field("labels", Form::Any)
        },
    ],
};

static OUTER: Record = Record {
    name: "outer",
    fields: &[
        Field {
            default: "`a|b`",
            example: "name: x",
            ..field("name", Form::Text)
        },
        field("list", Form::List(&Form::Record(&INNER))),
        field("other", Form::Record(&INNER)),
        Field {
            effect: Effect::Internal,
            ..field("_own", Form::Any)
        },
    ],
};

const PAGE: &str = "\
### Top level

| field | holds | default | what it does | example |
|---|---|---|---|---|
| `name` | text | `a\\|b` | About it | `name: x` |
| `list` | list of: [mapping](#list) |  | About it |  |
| `other` | [mapping](#list) |  | About it |  |

### `list[]`

| field | holds | default | what it does | example |
|---|---|---|---|---|
| `path` | text | required | About it | `path: /a` |

| read, then ignored | holds | what it is elsewhere | why | example |
|---|---|---|---|---|
| `labels` | anything | About it | nobody looks | below |

```yaml
list:
  - path: /a
    labels:
      a: b
```
";

#[test]
fn a_page_has_a_section_a_record_and_a_row_a_public_field() {
    let mut reference = Reference::default();
    assert_eq!(reference.sections("one.md", top("Top level", &OUTER)), PAGE);
}

#[test]
fn what_an_earlier_page_tells_is_linked_to() {
    static LATER: Record = Record {
        name: "later",
        fields: &[field("item", Form::Record(&INNER))],
    };
    let mut reference = Reference::default();
    reference.sections("one.md", top("Top level", &OUTER));
    let page = reference.sections("two.md", top("Top level", &LATER));
    assert!(
        page.contains("| `item` | [mapping](one.md#list) |"),
        "{page}"
    );
    assert!(!page.contains("### `item`"), "{page}");
}

#[test]
fn a_record_like_an_earlier_one_tells_only_what_differs() {
    const A: Field = field("a", Form::Text);
    const B: Field = field("b", Form::Text);
    const C: Field = field("c", Form::Text);
    const D: Field = field("d", Form::Text);
    const E: Field = field("e", Form::Text);
    static LIKE: Record = Record {
        name: "like",
        fields: &[A, B, C, D, E, field("own", Form::Text)],
    };
    static TOP: Record = Record {
        name: "top",
        fields: &[A, B, C, D, E, field("inner", Form::Record(&LIKE))],
    };
    let page = Reference::default().sections("one.md", top("Top level", &TOP));
    let (_, section) = page.split_once("### `inner`").expect("a section");
    assert!(
        section.contains("`a`, `b`, `c`, `d`, `e`: as in [Top level](#top-level)."),
        "{section}"
    );
    assert!(
        section.contains("| `own` |") && !section.contains("| `a` |"),
        "{section}"
    );
}

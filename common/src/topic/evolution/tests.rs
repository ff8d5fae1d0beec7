//! Changes of columns: what becomes of names, members and ids, and what stored rows rule out.

use super::*;
use crate::topic::ColumnType;

fn column(name: &str, column_type: ColumnType, nullable: bool) -> ColumnSpec {
    ColumnSpec { nullable, ..ColumnSpec::new(name, column_type) }
}

fn object(members: Vec<ColumnSpec>) -> ColumnType {
    ColumnType::Struct(members)
}

fn held() -> TopicOptions {
    let columns = vec![column("id", ColumnType::Int32, false), column("name", ColumnType::String, true)];
    TopicOptions { format: Format::Json, columns, ..TopicOptions::default() }
}

fn shown(options: &TopicOptions) -> Vec<String> {
    options.columns.iter().map(ToString::to_string).collect()
}

fn ids(options: &TopicOptions) -> Vec<(String, i32)> {
    let numbered = options.numbered_columns();
    numbered.into_iter().map(|column| (column.name, column.id.expect("numbered"))).collect()
}

fn declared(columns: &[ColumnSpec]) -> ColumnChange {
    ColumnChange { declare: columns.to_vec(), ..ColumnChange::default() }
}

fn dropped(name: &str) -> ColumnChange {
    ColumnChange { drop: vec![name.to_owned()], ..ColumnChange::default() }
}

fn renamed(name: &str, new_name: &str) -> ColumnChange {
    ColumnChange { rename: vec![(name.to_owned(), new_name.to_owned())], ..ColumnChange::default() }
}

fn changed(columns: &[ColumnSpec]) -> Result<Vec<String>, String> {
    let changed = held().evolve(&declared(columns)).map_err(|refused| refused.to_string())?;
    assert_eq!(TopicOptions { columns: held().columns, ..changed.clone() }, held(), "nothing else is changed");
    Ok(shown(&changed))
}

#[test]
fn columns_are_added_behind_the_others_and_widened_in_place() {
    let added = [column("note", ColumnType::String, true), column("id", ColumnType::Int64, false)];
    assert_eq!(changed(&added).expect("both"), ["id:int64!", "name:string", "note:string"]);
    assert_eq!(changed(&[column("id", ColumnType::Int32, true)]).expect("takes null"), ["id:int32", "name:string"]);
    assert_eq!(changed(&[]).expect("nothing"), ["id:int32!", "name:string"]);
    assert_eq!(changed(&held().columns).expect("the same"), ["id:int32!", "name:string"]);
}

#[test]
fn a_change_that_stored_rows_contradict_is_refused() {
    let refusals = [
        (column("note", ColumnType::String, false), "must take null"),
        (column("name", ColumnType::Int64, true), "stored as string"),
        (column("name", ColumnType::String, false), "refuse null"),
        (column("id", ColumnType::Float64, false), "stored as int32"),
        (column("id", ColumnType::Float64, false), "--column 'id2:float64=id'"),
        (column("Id", ColumnType::Int64, false), "must take null"),
    ];
    for (column, part) in refusals {
        let refused = changed(std::slice::from_ref(&column)).expect_err(part);
        assert!(refused.contains(part), "{refused}");
    }
    let narrower = [column("big", ColumnType::Int64, true), column("big", ColumnType::Int32, true)];
    assert!(changed(&narrower).expect_err("twice").contains("stored as int64"));
}

#[test]
fn a_format_with_fixed_columns_takes_none() {
    for format in Format::ALL.into_iter().filter(|format| format.fixed_rows().is_some()) {
        let options = TopicOptions { format, ..TopicOptions::default() };
        let refused = options.evolve(&declared(&[column("a", ColumnType::Json, true)])).expect_err("fixed");
        assert_eq!(refused.to_string(), "only a json topic has columns");
    }
}

#[test]
fn what_is_inside_of_a_struct_is_named_as_such() {
    let before = column("before", object(vec![column("id", ColumnType::Int64, true)]), true);
    let options = held().evolve(&declared(&[before])).expect("added");
    for change in [dropped("before.id"), renamed("before.id", "key")] {
        let refused = options.evolve(&change).expect_err("inside").to_string();
        assert_eq!(
            refused,
            "\"before.id\" is inside of column before: nothing inside an object can be dropped or renamed"
        );
    }
    let refused = options.evolve(&dropped("name.id")).expect_err("no struct").to_string();
    assert!(refused.contains("there is no column \"name.id\""), "{refused}");
}

#[test]
fn a_dropped_column_leaves_its_id_to_nobody() {
    let without = held().evolve(&dropped("name")).expect("dropped");
    assert_eq!((shown(&without), ids(&without)), (vec!["id:int32!".to_owned()], vec![("id".to_owned(), 100)]));
    let again = without.evolve(&declared(&[column("name", ColumnType::Int64, true)])).expect("added");
    assert_eq!(ids(&again), [("id".to_owned(), 100), ("name".to_owned(), 102)]);
    let first = again.evolve(&dropped("id")).expect("dropped");
    assert_eq!(ids(&first), [("name".to_owned(), 102)]);
    let refused = held().evolve(&dropped("nme")).expect_err("unknown").to_string();
    assert_eq!(refused, "there is no column \"nme\"; the columns are id, name");
}

#[test]
fn a_renamed_column_keeps_its_id_and_its_member() {
    let renamed_once = held().evolve(&renamed("name", "title")).expect("renamed");
    assert_eq!(shown(&renamed_once), ["id:int32!", "title:string=name"]);
    assert_eq!(ids(&renamed_once)[1], ("title".to_owned(), 101));
    let back = renamed_once.evolve(&renamed("title", "name")).expect("renamed");
    assert_eq!(back, held());
    let widened = renamed_once.evolve(&declared(&[column("title", ColumnType::String, true)])).expect("the same");
    assert_eq!(shown(&widened)[1], "title:string=name", "a column that is declared again reads what it read");
    let title = ColumnSpec { from: Member::Named("title".to_owned()), ..ColumnSpec::new("title", ColumnType::String) };
    assert_eq!(shown(&renamed_once.evolve(&declared(&[title])).expect("its own"))[1], "title:string");
}

#[test]
fn a_member_is_read_by_the_column_that_was_declared_last() {
    let id2 = ColumnSpec { from: Member::Named("id".to_owned()), ..ColumnSpec::new("id2", ColumnType::Float64) };
    let taken = held().evolve(&declared(std::slice::from_ref(&id2))).expect("taken over");
    assert_eq!(shown(&taken), ["id:int32=", "name:string", "id2:float64=id"]);
    let change = ColumnChange { declare: vec![column("id", ColumnType::Float64, true)], ..renamed("id", "id_before") };
    let swapped = held().evolve(&change).expect("swapped");
    assert_eq!(shown(&swapped), ["id_before:int32=", "name:string", "id:float64"]);
    assert_eq!(ids(&swapped).iter().map(|(_, id)| *id).collect::<Vec<_>>(), [100, 101, 102]);
    let change = ColumnChange { declare: vec![column("id", ColumnType::Float64, true)], ..dropped("id") };
    let replaced = held().evolve(&change).expect("replaced");
    assert_eq!(ids(&replaced), [("name".to_owned(), 101), ("id".to_owned(), 102)]);
    let both = [column("id", ColumnType::Int64, false), id2];
    assert!(held().evolve(&declared(&both)).expect_err("one member").to_string().contains("another column reads it"));
}

#[test]
fn members_are_added_inside_objects_and_move_no_id() {
    let address = object(vec![column("city", ColumnType::Int32, false)]);
    let list = ColumnType::List(Box::new(address.clone()));
    let mut options = held();
    options.columns = vec![column("a", address, true), column("l", list, true), column("z", ColumnType::Bool, true)];
    let before = options.numbered_columns();
    let wider = object(vec![column("zip", ColumnType::String, true), column("city", ColumnType::Int64, false)]);
    let list = ColumnType::List(Box::new(wider.clone()));
    let added = options.evolve(&declared(&[column("a", wider, true), column("l", list, true)])).expect("added");
    assert_eq!(shown(&added)[0], "a:struct(city:int64!, zip:string)");
    assert_eq!(shown(&added)[1], "l:list(struct(city:int64!, zip:string))");
    assert_eq!(ids(&added), before.iter().map(|c| (c.name.clone(), c.id.expect("numbered"))).collect::<Vec<_>>());
    let ColumnType::Struct(members) = &added.columns[0].column_type else { panic!("an object") };
    assert_eq!(members.iter().map(|member| member.id).collect::<Vec<_>>(), [Some(101), Some(106)]);
    for (members, part) in [
        (vec![column("zip", ColumnType::String, true)], "\"city\" is left out"),
        (vec![column("city", ColumnType::Int32, false), column("zip", ColumnType::String, false)], "must take null"),
        (vec![column("city", ColumnType::String, false)], "stored as int32"),
    ] {
        let refused = options.evolve(&declared(&[column("a", object(members), true)])).expect_err(part).to_string();
        assert!(refused.contains(part), "{refused}");
    }
}

#[test]
fn names_are_swapped_by_way_of_a_third_and_never_in_part() {
    let rename = |pairs: &[(&str, &str)]| {
        let rename = pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        held().evolve(&ColumnChange { rename, ..ColumnChange::default() })
    };
    for pairs in [&[("id", "name"), ("name", "id")][..], &[("name", "id"), ("id", "name")], &[("id", "name")]] {
        let refused = rename(pairs).expect_err("taken").to_string();
        assert!(refused.contains("which is a column then") && refused.contains("by way of a third"), "{refused}");
    }
    let swapped = rename(&[("id", "t"), ("name", "id"), ("t", "name")]).expect("one after the other");
    assert_eq!(ids(&swapped)[..2], [("name".to_owned(), 100), ("id".to_owned(), 101)]);
}

//! The description of the API: OpenAPI 3.1, whose schemas are those of the types that are answered.

use axum::body::Bytes;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::board;
use super::failure;
use super::heat_map::{BlockList, HeatMap, MOST_BLOCKS, MOST_CELLS};
use super::history;

/// The description as JSON.
pub(super) fn text() -> Bytes {
    // What has only texts as keys can be told as JSON.
    serde_json::to_vec_pretty(&description()).unwrap_or_default().into()
}

fn description() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let paths = paths(&mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "walker serve",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What walker serve knows of a PostgreSQL server with the extensions walker and garbagemap. \
                Only GET and HEAD. Where a token was given, each request needs it as Authorization: Bearer TOKEN. \
                Within a version of the path, fields may be added and none is taken away or changes its meaning.",
        },
        "paths": paths,
        "components": {
            "schemas": Value::Object(schemas.take_definitions(true)),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
        "security": [{}, { "token": [] }],
    })
}

fn paths(schemas: &mut SchemaGenerator) -> Value {
    let error = answer::<failure::Told>(schemas, "What is wrong, and what can be done");
    let get = |summary: &str, parameters: &[Value], success: Value| json!({ "get": { "summary": summary, "parameters": parameters, "responses": { "200": success, "default": error.clone() } } });
    let observation = answer::<board::Answer<'static>>(schemas, "The last look");
    let told = answer::<history::Told>(schemas, "Column by column");
    let heat_map = answer::<HeatMap>(schemas, "The cells in the order of their blocks");
    let blocks = answer::<BlockList>(schemas, "The blocks in their order");
    let from = query("from", "The first block; 0 if not given", "integer");
    let to = query("to", "The block behind the last one; the table's end if not given", "integer");
    let cells = query("cells", &format!("How many cells there are at most: 1 to {MOST_CELLS}, or 1024"), "integer");
    let id = in_path("table", "OID of the table", "integer");
    let (schema, name) =
        (in_path("schema", "Name of its schema", "string"), in_path("table", "Name of the table", "string"));
    let of_map = "Dead tuples by ranges of blocks. The part that is asked for is widened to whole cells";
    let of_blocks = &format!("Each block of a part of a table, {MOST_BLOCKS} at most");
    let since = query("since", "Only what was later: seconds since 1970, as in times", "number");
    let table = query("table", "OID of a table whose dead bytes are told too", "integer");
    json!({
        "/api/v1/observation": get("The server at the last look, and rates between the last two", &[], observation),
        "/api/v1/history": get("What was, as far back as is kept", &[since, table], told),
        "/api/v1/tables/{table}/heatmap": get(of_map, &[id.clone(), from.clone(), to.clone(), cells.clone()], heat_map.clone()),
        "/api/v1/tables/{schema}/{table}/heatmap":
            get(of_map, &[schema.clone(), name.clone(), from.clone(), to.clone(), cells], heat_map),
        "/api/v1/tables/{table}/blocks": get(of_blocks, &[id, from.clone(), to.clone()], blocks.clone()),
        "/api/v1/tables/{schema}/{table}/blocks": get(of_blocks, &[schema, name, from, to], blocks),
    })
}

fn answer<T: JsonSchema>(schemas: &mut SchemaGenerator, description: &str) -> Value {
    let schema = schemas.subschema_for::<T>();
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

fn query(name: &str, description: &str, kind: &str) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": { "type": kind, "minimum": 0 } })
}

fn in_path(name: &str, description: &str, kind: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "description": description, "schema": { "type": kind } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_described_by_its_type() {
        let description = description();
        for name in ["Observation", "History", "HeatMap", "Blocks", "Error"] {
            let schema = &description["components"]["schemas"][name];
            assert_eq!(schema["type"], "object", "{name}: {schema}");
            let fields = schema["properties"].as_object().unwrap();
            assert_eq!(schema["required"].as_array().unwrap().len(), fields.len(), "{name}: no field is left out");
        }
        let path = &description["paths"]["/api/v1/tables/{table}/blocks"]["get"];
        let schema = &path["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
        assert_eq!(schema, "#/components/schemas/Blocks");
    }
}

-- Without statistics both databases took `records_by_unit`, whose condition a query for a person's records in a unit also
-- says, and read the whole unit for it.

DROP INDEX records_by_person;
CREATE INDEX records_by_person ON records (person, unit);
DROP INDEX records_by_unit;
CREATE INDEX records_by_unit ON records (unit, id);

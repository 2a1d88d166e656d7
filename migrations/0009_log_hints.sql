-- Readers of a log hear of each piece; before, they found it at their next look, a second later at worst.
CREATE FUNCTION slipway.tell_readers() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = slipway, pg_temp AS $$
BEGIN
    PERFORM pg_notify('slipway', json_build_object('log', NEW.run_id)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER tell_readers AFTER INSERT ON slipway.log_chunks FOR EACH ROW EXECUTE FUNCTION slipway.tell_readers();

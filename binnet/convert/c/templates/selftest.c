int @name@_selftest(void)
{
    static const float expected[@IMAGES@][@CLASSES@] = {
@EXPECTED@};
    @TYPE@ @IMAGE@[@NAME@_ROWS * @NAME@_COLUMNS * @NAME@_CHANNELS];
    float scores[@CLASSES@];
    int wrong = 0;
    for (uint32_t seed = 0; seed < @IMAGES@; seed++) {
        uint32_t state = seed * 2654435761u + 1u;
        for (int i = 0; i < @NAME@_ROWS * @NAME@_COLUMNS * @NAME@_CHANNELS; i++) {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            @IMAGE@[i] = @VALUE@;
        }
        (void)@name@_predict(@IMAGE@, scores);
        for (int i = 0; i < @CLASSES@; i++) {
            const float score = scores[i], right = expected[seed][i], difference = score - right;
            const int near = difference <= @TOLERANCE@ && difference >= -@TOLERANCE@;
            /* Scores may be infinite, or no numbers. */
            wrong += !(near || score == right || (score != score && right != right));
        }
    }
    return wrong;
}

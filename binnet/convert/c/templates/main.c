/* Reads an image (PPM P6, PGM P5, or the bytes of the pixels alone) and prints the best classes. */
#include <stdio.h>

static int header_number(FILE *file)
{
    int c = fgetc(file), value = 0;
    while (c == '#' || c == ' ' || c == '\n' || c == '\r' || c == '\t') {
        if (c == '#')
            while (c != '\n' && c != EOF)
                c = fgetc(file);
        c = fgetc(file);
    }
    if (c < '0' || c > '9')
        return -1;
    for (; c >= '0' && c <= '9' && value < 100000; c = fgetc(file))
        value = value * 10 + (c - '0');
    return value;
}

int main(int count, char **words)
{
    static uint8_t pixels[@NAME@_ROWS * @NAME@_COLUMNS * @NAME@_CHANNELS + 1]; /* one more, which shows a longer file */
    float scores[@NAME@_CLASSES];
    FILE *file = count == 2 ? fopen(words[1], "rb") : NULL;
    if (file == NULL) {
        fprintf(stderr, count == 2 ? "cannot read the image\n" : "expected one image: a PPM, PGM or raw file\n");
        return 2;
    }
    /* A file of as many bytes as there are pixels has no header, whatever it begins with. */
    if (fseek(file, 0, SEEK_END) == 0 && ftell(file) == (long)(sizeof pixels - 1)) {
        rewind(file);
    } else if (fseek(file, 0, SEEK_SET) == 0 && fgetc(file) == 'P' && fgetc(file) == (@NAME@_CHANNELS == 3 ? '6' : '5')) {
        const int columns = header_number(file), rows = header_number(file), most = header_number(file);
        if (columns != @NAME@_COLUMNS || rows != @NAME@_ROWS || most != 255) {
            fprintf(stderr, "expected %dx%d pixels from 0 to 255, got %dx%d from 0 to %d\n", @NAME@_COLUMNS, @NAME@_ROWS, columns,
                    rows, most);
            return 2;
        }
    } else {
        rewind(file);
    }
    if (fread(pixels, 1, sizeof pixels, file) != sizeof pixels - 1) {
        fprintf(stderr, "expected %d bytes of pixels\n", @NAME@_ROWS * @NAME@_COLUMNS * @NAME@_CHANNELS);
        return 2;
    }
    fclose(file);
    (void)@name@_predict(pixels, scores);
    for (int rank = 0; rank < 5 && rank < @NAME@_CLASSES; rank++) {
        int best = 0;
        for (int i = 1; i < @NAME@_CLASSES; i++)
            best = scores[i] > scores[best] ? i : best;
        printf("%d %s %g\n", best, @name@_class_names[best], (double)scores[best]);
        scores[best] = -3.4e38f;
    }
    return 0;
}

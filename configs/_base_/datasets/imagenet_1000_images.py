# 1000 photographs of ImageNet's training set without labels, drawn once; VOC21 for validation.
# Any folder of photographs does: --cfg-options images=FOLDER train_dataloader.dataset.dataset.images=FOLDER.
_base_ = './open_vocab/voc21.py'
images = '{{$MMSEG_WEAK_DATA:data}}/imagenet/train'
num_classes = 21
crop_size = (448, 448)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(2048, 448), keep_ratio=True),  # the short side
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
batch = 16
train_dataloader = dict(
    batch_size=batch,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='RunSampler', batch_size=batch),
    dataset=dict(
        type='SeededDataset',
        dataset=dict(
            type='UnlabeledDataset', images=images, subset=dict(count=1000, seed=0), pipeline=train_pipeline)))
val_dataloader = _base_.test_dataloader
val_evaluator = _base_.test_evaluator
val_cfg = dict(type='ValLoop')
